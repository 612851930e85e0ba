package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"dpfpl/broker"
)

// asServer makes the test binary behave as a server process that stores its streams in the named folder, and
// asKeeper as the process that has the disks of a spec.
const (
	asServer = "DPFPL_PROCESS_SERVER"
	asKeeper = "DPFPL_PROCESS_KEEPER"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(asServer); dir != "" {
		if err := Serve(context.Background(), ServerSpec{Dir: dir, SyncAlways: true}, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if text := os.Getenv(asKeeper); text != "" {
		var spec DisksSpec
		err := json.Unmarshal([]byte(text), &spec)
		if err == nil {
			err = KeepDisks(context.Background(), spec, os.Stdin, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start starts a server process and connects to it.
func start(t *testing.T, dir string) (*Child, jetstream.JetStream) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"="+dir)
	child, err := Start(cmd, filepath.Join(dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(child.Kill)
	url, err := child.Await(Ready)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := broker.Connect(t.Context(), broker.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn.NATS())
	if err != nil {
		t.Fatal(err)
	}
	return child, js
}

// TestFullDisk: a server without room acknowledges nothing more, and what it has acknowledged outlives its end by
// kill -9. nats-server 2.15 meets a disk without room as it meets RLIMIT_FSIZE, with silence and a stream that takes
// nothing until it is started again, so that the one may stand for the other where no disk can be mounted.
func TestFullDisk(t *testing.T) {
	if !Supported {
		t.Skip("this system cannot limit the size of files")
	}
	t.Run("no space left", func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "disk")
		disks, err := mountDisk(t, folder)
		if errors.Is(err, ErrNoDisks) {
			t.Skipf("NOT TESTED HERE: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(folder); err == nil && len(left) > 0 {
			t.Errorf("the disk is to be seen from here: %v", left)
		}
		dir := disks.Path(folder)
		fullDisk(t, dir, func(*Child) {
			if err := FillDisk(dir, 8); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "more"), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("a full disk says %v", err)
			}
			if err := os.Remove(filepath.Join(dir, "more")); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("file size limit", func(t *testing.T) {
		fullDisk(t, t.TempDir(), func(server *Child) { server.Tell("full 50000") })
	})
}

// mountDisk mounts a small disk until the test ends.
func mountDisk(t *testing.T, folder string) (*Disks, error) {
	t.Helper()
	text, err := json.Marshal(DisksSpec{Folders: []string{folder}, Size: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asKeeper+"="+string(text))
	disks, err := MountDisks(cmd, []string{folder}, filepath.Join(t.TempDir(), "log"))
	if err == nil {
		t.Cleanup(disks.Close)
	}
	return disks, err
}

// TestDiskThroughLink: where the way to a folder leads through a link, as a temporary folder's may, it is the disk that is
// reached all the same, and not what is below it.
func TestDiskThroughLink(t *testing.T) {
	real, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if _, err := mountDisk(t, filepath.Join(real, "disk")); errors.Is(err, ErrNoDisks) {
		t.Skipf("NOT TESTED HERE: %v", err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(link, "linked")
	disks, err := mountDisk(t, folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(disks.Path(folder), "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("what was written is below the disk: %v, %v", left, err)
	}
	disks.root = "/" // as if the way led out of its namespace
	if err := disks.reach(folder); err == nil {
		t.Error("what is below the disk is taken for it")
	}
}

func fullDisk(t *testing.T, dir string, fill func(*Child)) {
	ctx := t.Context()
	child, js := start(t, dir)
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}}); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		uses(t, child, js)
	}
	fill(child)
	payload := make([]byte, 1000)
	publish := func(subject string, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_, err := js.Publish(ctx, subject, payload)
		return err
	}
	stored := 0
	for publish(fmt.Sprint("s.", stored), 5*time.Second) == nil { // the first ones may come before the disk is full
		if stored++; stored > 100_000 {
			t.Fatal("the disk is never full")
		}
	}
	child.Kill()
	<-child.Exited()
	if !child.Signaled() || child.Err() == nil {
		t.Errorf("killed, yet %v", child.Err())
	}
	if err := EmptyDisk(dir); err != nil {
		t.Fatal(err)
	}

	_, js = start(t, dir) // publish, too, uses the new one
	s, err := js.Stream(ctx, "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != uint64(stored) && n != uint64(stored)+1 { // the last may have been stored, and its acknowledgement late
		t.Errorf("%d messages, %d were acknowledged", n, stored)
	}
	if err := publish("s.again", time.Minute); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// uses makes sure that it shows what a server uses. Processor time counts in ticks, of which a fast one may not have used one yet.
func uses(t *testing.T, server *Child, js jetstream.JetStream) {
	t.Helper()
	began := time.Now()
	for server.Usage().CPU == 0 && time.Since(began) < 2*time.Minute {
		if _, err := js.AccountInfo(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if u := server.Usage(); u.Memory < 1<<20 || u.Memory > u.Peak || u.CPU <= 0 {
		t.Errorf("usage %+v", u)
	}
}

// TestNoDisks: where nothing can be mounted, that is an error with a name.
func TestNoDisks(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asKeeper+`={"Folders":["/dev/null/nowhere"],"Size":1}`)
	if _, err := MountDisks(cmd, nil, filepath.Join(t.TempDir(), "log")); !errors.Is(err, ErrNoDisks) {
		t.Errorf("error %v", err)
	}
}

// TestAwait: a child that ends without the word is an error, and so is what it left as its exit code.
func TestAwait(t *testing.T) {
	child, err := Start(exec.Command(os.Args[0], "-test.run=^$"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.Await(Ready); !errors.Is(err, ErrSilent) {
		t.Errorf("error %v", err)
	}
	select {
	case <-child.Exited():
	case <-time.After(5 * time.Minute):
		t.Fatal("still there")
	}
	if child.Err() != nil || child.Signaled() {
		t.Errorf("ended with %v", child.Err())
	}
	child.Tell("nothing") // must not fail
}

func TestParse(t *testing.T) {
	u := parseStatus([]byte("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n"))
	if u != (Usage{Memory: 1 << 20, Peak: 2 << 20}) {
		t.Errorf("%+v", u)
	}
	if d := parseStat([]byte("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0\n")); d != 3*time.Second {
		t.Errorf("%v", d)
	}
	if d := parseStat([]byte("7")); d != 0 {
		t.Errorf("%v", d)
	}
}

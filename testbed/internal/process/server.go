package process

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"dpfpl/broker/brokertest"
)

// ServerSpec is what a server process is told at its start.
type ServerSpec struct {
	Dir        string // where streams are stored
	SyncAlways bool
}

// Ready is the word with which a server process says that it accepts connections, followed by its URL.
const Ready = "ready"

// Serve is a server process: it listens on a free port of 127.0.0.1, says so, and serves until ctx ends or its
// parent is gone. Told "full n", it finds that its disk has room for about n more bytes.
func Serve(ctx context.Context, spec ServerSpec, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server, err := brokertest.Start(brokertest.Options{Dir: spec.Dir, SyncAlways: spec.SyncAlways, Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	defer server.Close()
	go func() {
		defer cancel()
		Obey(stdin, func(word, rest string) {
			n, err := strconv.ParseInt(rest, 10, 64)
			if word != "full" || err != nil {
				return
			}
			if err := Full(largest(spec.Dir) + n); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}()
	fmt.Fprintln(stdout, Ready, server.URL())
	<-ctx.Done()
	return nil
}

// largest is the size of the largest file below dir: the one that is growing, or that has just ended to.
func largest(dir string) (size int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { //nolint:errcheck // files come and go
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			size = max(size, info.Size())
		}
		return nil
	})
	return size
}

//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"dpfpl/roles/replayer"
	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
)

// BenchmarkReplay replays a file of full-size updates (16×512 numbers, 32 KiB), every signature verified.
// cpu-µs is the processor time of one update over all cores, which unlike updates/s does not depend on what
// else runs; cores × 10⁶ / cpu-µs is the speed of an idle machine. The baseline is one SHA-256 over the same
// bytes: ratio is how often a replay could have done that instead.
func BenchmarkReplay(b *testing.B) {
	const members, versions, buffer = 50, 40, 25
	var ids []string
	for i := range members {
		ids = append(ids, fmt.Sprintf("client-%03d", i))
	}
	s := newScene(b, ids, 16, 512, schemas.RulePlan{Name: "fedbuff", Buffer: buffer, MaxStaleness: 3})
	for i := range uint64(versions * buffer) {
		base := i / buffer
		s.update(ids[i%members], i/members+1, base, int32(i*7919%100003), ids[i%members])
	}
	var file bytes.Buffer
	if _, err := writeRun(&file, each(s.messages())); err != nil {
		b.Fatal(err)
	}
	updates := float64(versions * buffer)
	b.SetBytes(int64(file.Len()))
	var hashing, replaying time.Duration
	for b.Loop() {
		began := processorTime(b)
		sha256.Sum256(file.Bytes())
		between := processorTime(b)
		r, err := logfile.NewReader(bytes.NewReader(file.Bytes()))
		if err != nil {
			b.Fatal(err)
		}
		r.Unchained = true
		src := func(yield func(schemas.Message, error) bool) {
			for {
				m, err := r.NextSealed()
				if err == io.EOF || !yield(m, err) || err != nil {
					return
				}
			}
		}
		result, err := replayer.Replay(src, newFold, 0)
		if err != nil || result.Divergence != nil || result.Agreed != versions {
			b.Fatalf("%+v, %v", result, err)
		}
		hashing += between - began
		replaying += processorTime(b) - between
	}
	b.ReportMetric(updates*float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(1e6*replaying.Seconds()/float64(b.N)/updates, "cpu-µs/update")
	b.ReportMetric(replaying.Seconds()/hashing.Seconds(), "ratio")
}

// processorTime is what this process has used so far, in user and system mode.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

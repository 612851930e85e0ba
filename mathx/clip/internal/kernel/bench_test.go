//go:build unix

package kernel

import (
	"fmt"
	"math"
	"syscall"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// cpuTime is the processor time that f takes, the least of a few runs: unlike wall time
// it can be compared on a machine that others use too.
func cpuTime(b *testing.B, runs int, f func()) float64 {
	b.Helper()
	now := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	best := math.Inf(1)
	for range runs {
		start := now()
		f()
		best = min(best, now()-start)
	}
	return best
}

// BenchmarkGemm is the product with packed weights, against gonum's Sgemm and against the
// peak: a loop of independent multiply-adds in registers.
func BenchmarkGemm(b *testing.B) {
	for _, s := range []struct{ m, k, n int }{{517, 512, 2048}, {517, 2048, 512}, {66, 512, 1536}, {17, 512, 512}, {1100, 128, 512}, {46, 128, 512}, {400, 768, 3072}} {
		b.Run(fmt.Sprintf("m=%d/k=%d/n=%d", s.m, s.k, s.n), func(b *testing.B) {
			a, c := matrix(1, s.m, s.k, 0), matrix(2, s.m, s.n, 0)
			w := gaussians(3, s.k*s.n)
			packed := Pack(Best(), s.k, s.n, w, false)
			flop := 2 * float64(s.m) * float64(s.k) * float64(s.n)
			repeat := max(1, int(1e9/flop))
			for b.Loop() {
				packed.Mul(c, a, 0)
			}
			b.StopTimer()
			ours := flop * float64(repeat) / cpuTime(b, 9, func() {
				for range repeat {
					packed.Mul(c, a, 0)
				}
			})
			b.ReportMetric(ours/1e9, "GFLOP/s")
			if peakFLOP == 0 {
				return
			}
			raw := blas32.General{Rows: s.k, Cols: s.n, Stride: s.n, Data: w}
			sgemm := flop / cpuTime(b, 3, func() { blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, a, raw, 0, c) })
			const loops = 2e7
			peak := loops * peakFLOP / cpuTime(b, 9, func() { peakLoop(loops) })
			b.ReportMetric(peak/1e9, "peak-GFLOP/s")
			b.ReportMetric(100*ours/peak, "%peak")
			b.ReportMetric(ours/sgemm, "×gonum")
		})
	}
}

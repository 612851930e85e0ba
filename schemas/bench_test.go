package schemas_test

import (
	"math/rand/v2"
	"testing"

	"dpfpl/schemas"
)

// BenchmarkUpdate measures what one update of CLIP ViT-B's size, 16×512, costs its sender and its reader.
func BenchmarkUpdate(b *testing.B) {
	key, public := testKey(b, 3)
	v := make([]int32, 16*512)
	src := rand.New(rand.NewPCG(1, 2))
	for i := range v {
		v[i] = int32(src.Uint32())
	}
	u := &schemas.Update{Header: head("anna"), K: 1, Sum: schemas.NewLattice(16, 512, 1, v), Mechanism: schemas.Mechanism{Noise: "none"}}
	raw, err := schemas.Seal(u, key)
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("seal", func() error { _, err := schemas.Seal(u, key); return err })
	ready := schemas.Prepare(key)
	run("seal-prepared", func() error { _, err := schemas.Seal(u, ready); return err })
	run("open", func() error { _, err := schemas.Open(raw); return err })
	run("verify", func() error { return schemas.Verify(raw, public) })
	run("digest", func() error { schemas.Digest(raw); return nil })
}

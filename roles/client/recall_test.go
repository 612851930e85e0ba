package client

import (
	"bytes"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/blackbox"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// TestBlackBox: a black box changes nothing about what a client sends; and what it holds gives, for every method,
// the published update less its noise, which the same seed with an empty batch draws alone.
func TestBlackBox(t *testing.T) {
	for _, method := range prompt.Methods() {
		w := newWorld(t)
		w.plan.Method.Name = method
		p := &w.plan.Privacy
		switch method {
		case prompt.PromptFL:
			p.ClipU, p.ClipV, p.ZU, p.ZV = 0, 0, 0, 0
		case prompt.FedOTP:
			p.ClipV, p.ZV = 0, 0
		}
		plain := w.client(w.config(memory(t, ledger.Limits{})))
		path, key := filepath.Join(t.TempDir(), "box"), make([]byte, blackbox.KeySize)
		box, err := blackbox.Open(path, key)
		if err != nil {
			t.Fatal(err)
		}
		cfg := w.config(memory(t, ledger.Limits{}))
		cfg.BlackBox = box
		c := w.client(cfg)
		var updates []*schemas.Update
		var digests [][32]byte
		for v := range uint64(3) {
			a, b := w.step(plain, w.model(v, false)), w.step(c, w.model(v, false))
			if !bytes.Equal(a[0].Raw, b[0].Raw) {
				t.Fatalf("%s: with a black box update %d is another", method, v+1)
			}
			updates, digests = append(updates, w.one(b)), append(digests, schemas.Digest(b[0].Raw))
		}
		if err := box.Close(); err != nil {
			t.Fatal(err)
		}
		records, err := blackbox.Read(path, key)
		if err != nil || len(records) != len(updates) {
			t.Fatalf("%s: %d records, %v", method, len(records), err)
		}
		for i, r := range records {
			u := updates[i]
			if r.Run != "run" || r.K != u.K || r.Base != u.Base || r.Update != digests[i] || r.Data != DataDigest(cfg.Data) {
				t.Errorf("%s: record %d is %+v", method, i, r)
			}
			w.checkSum(c, r, u)
		}
	}
}

// checkSum holds the sum of a record against an update and its noise.
func (w *world) checkSum(c *Client, r blackbox.Record, u *schemas.Update) {
	w.t.Helper()
	global := prompt.RandomContext(l, d, 0.2, rand.NewPCG(r.Base, 5))
	sum, err := Unnoised(c.cfg, r.State, r.Batch, global)
	if err != nil {
		w.t.Fatal(err)
	}
	alone, err := prompt.NewLearner(learning(&c.cfg), l, d, w.plan.Prompt.Std, c.cfg.Public(0))
	if err != nil {
		w.t.Fatal(err)
	}
	secret := seeded(r.K)
	poisson(len(c.cfg.Data), c.cfg.Rate, secret)
	noise, err := alone.Step(newLinear(), 5, global, nil, secret, c.cfg.Public(r.K))
	if err != nil {
		w.t.Fatal(err)
	}
	square, drawn := 0.0, noise.Ints(alone.GlobalGroup())
	for j, x := range u.Sum.Ints(nil) {
		without := float64(x-drawn[j]) * u.Sum.Step
		if math.Abs(without-sum[j]) > 16*u.Sum.Step { // as many roundings as there are records
			w.t.Fatalf("%s, update %d, number %d: %v without its noise, %v recomputed", w.plan.Method.Name, u.K, j, without, sum[j])
		}
		square += sum[j] * sum[j]
	}
	if norm := math.Sqrt(square); norm != r.Norm || norm == 0 {
		w.t.Errorf("%s, update %d: norm %v, recorded %v", w.plan.Method.Name, u.K, norm, r.Norm)
	}
}

package schemas_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dpfpl/schemas"
)

// TestOpenSharesTheNumbers: the numbers of an opened message lie in the sealed bytes, and appending to them
// leaves the bytes behind them alone.
func TestOpenSharesTheNumbers(t *testing.T) {
	key, _ := testKey(t, 3)
	update := &schemas.Update{Header: head("anna"), K: 1, Sum: schemas.NewLattice(1, 3, 1, []int32{7, 8, 9}), Mechanism: schemas.Mechanism{Noise: "none"}}
	model := &schemas.Model{Header: head("aggregator"), Params: schemas.NewParams(1, 3, []float32{7, 8, 9})}
	for _, b := range []schemas.Body{update, model} {
		raw, err := schemas.Seal(b, key)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := schemas.Open(raw)
		if err != nil {
			t.Fatal(err)
		}
		var data schemas.Blob
		switch b := opened.(type) {
		case *schemas.Update:
			data = b.Sum.Data
		case *schemas.Model:
			data = b.Params.Data
		}
		if len(data) != 12 || cap(data) != 12 {
			t.Errorf("%v: %d bytes of numbers, room for %d, want 12 and no more", b.Kind(), len(data), cap(data))
		}
		shared := false
		for i := range raw {
			shared = shared || &raw[i] == &data[0]
		}
		if !shared {
			t.Errorf("%v: the numbers were copied", b.Kind())
		}
	}
}

func TestIntsOfAnyLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Int32(), 1, 21).Draw(t, "v")
		if got := schemas.NewLattice(1, len(v), 1, v).Ints(nil); !slices.Equal(got, v) {
			t.Fatalf("%v, want %v", got, v)
		}
	})
}

package schemas_test

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dpfpl/schemas"
)

var names = rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)

func genHeader(t *rapid.T) schemas.Header {
	return schemas.Header{Version: schemas.Version, Run: names.Draw(t, "run"), Sender: names.Draw(t, "from")}
}

func genUpdate(t *rapid.T) schemas.Body {
	rows, cols := rapid.IntRange(1, 9).Draw(t, "rows"), rapid.IntRange(1, 9).Draw(t, "cols")
	v := rapid.SliceOfN(rapid.Int32(), rows*cols, rows*cols).Draw(t, "v")
	z := rapid.Float64Range(0, math.MaxFloat64)
	return &schemas.Update{
		Header: genHeader(t), K: rapid.Uint64Range(1, schemas.MaxUpdates).Draw(t, "k"), Base: rapid.Uint64().Draw(t, "base"),
		Sum: schemas.NewLattice(rows, cols, rapid.Float64Range(math.SmallestNonzeroFloat64, math.MaxFloat64).Draw(t, "step"), v),
		Mechanism: schemas.Mechanism{
			Noise: "client", Adjacency: rapid.SampledFrom([]string{"zero-out", "add-remove", "replace-one"}).Draw(t, "adj"),
			Rate: rapid.Float64Range(0, 1).Draw(t, "q"), ZU: z.Draw(t, "zu"), ZV: z.Draw(t, "zv"), ZG: z.Draw(t, "zg"), Z: z.Draw(t, "z"),
		},
	}
}

func genModel(t *rapid.T) schemas.Body {
	rows, cols := rapid.IntRange(1, 9).Draw(t, "rows"), rapid.IntRange(1, 9).Draw(t, "cols")
	v := rapid.SliceOfN(rapid.Float32(), rows*cols, rows*cols).Draw(t, "v")
	m := &schemas.Model{
		Header: genHeader(t), Version: rapid.Uint64Min(1).Draw(t, "version"), Parent: [32]byte{1},
		Params: schemas.NewParams(rows, cols, v), Final: rapid.Bool().Draw(t, "final"),
	}
	for range rapid.IntRange(0, 20).Draw(t, "folded") {
		m.Applied += rapid.Uint64Range(1, 1<<40).Draw(t, "gap")
		m.Folded = append(m.Folded, schemas.Folded{
			Client: names.Draw(t, "client"), K: rapid.Uint64Min(1).Draw(t, "k"), Seq: m.Applied,
			Staleness: rapid.Uint32().Draw(t, "staleness"), Weight: rapid.Uint32().Draw(t, "weight"),
		})
	}
	return m
}

func genCheckpoint(t *rapid.T) schemas.Body {
	c := &schemas.Checkpoint{
		Header: genHeader(t), Version: rapid.Uint64().Draw(t, "version"), Model: [32]byte{2},
		Applied: rapid.Uint64Min(1).Draw(t, "applied"), AppliedTime: rapid.Int64Min(1).Draw(t, "time"),
		Controls: rapid.Uint64().Draw(t, "controls"),
	}
	if rapid.Bool().Draw(t, "momentum") {
		c.Velocity = make([]byte, 8*rapid.IntRange(1, 40).Draw(t, "values"))
	}
	ids := rapid.SliceOfNDistinct(names, 0, 20, rapid.ID).Draw(t, "ids")
	slices.Sort(ids)
	for _, id := range ids {
		c.Members = append(c.Members, schemas.MemberRecord{ID: id, Active: rapid.Bool().Draw(t, "active"), LastK: rapid.Uint64().Draw(t, "k"), MaxStaleness: rapid.Uint32().Draw(t, "s")})
	}
	return c
}

func genDead(t *rapid.T) schemas.Body {
	d := &schemas.Dead{Header: genHeader(t), Reason: schemas.ReasonShape, Detail: rapid.StringN(0, 40, 200).Draw(t, "detail"), Seq: rapid.Uint64().Draw(t, "seq")}
	if raw := rapid.SliceOf(rapid.Byte()).Draw(t, "raw"); len(raw) > 0 {
		d.Raw = raw
	}
	return d
}

// TestRoundTrip: what is sealed opens to the same body, and seals again to the same bytes.
func TestRoundTrip(t *testing.T) {
	key, public := testKey(t, 5)
	for name, gen := range map[string]func(*rapid.T) schemas.Body{"update": genUpdate, "model": genModel, "checkpoint": genCheckpoint, "dead": genDead} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				body := gen(t)
				raw, err := schemas.Seal(body, key)
				if err != nil {
					t.Fatal(err)
				}
				back, err := schemas.Open(raw)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(back, body) {
					t.Fatalf("opened\n%+v\nsealed\n%+v", back, body)
				}
				again, err := schemas.Seal(back, key)
				if err != nil || !bytes.Equal(again, raw) {
					t.Fatalf("sealing again gives other bytes, error %v", err)
				}
				if err := schemas.Verify(raw, public); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestMatrices: packing and unpacking is the identity on every int32 and every float32 bit pattern.
func TestMatrices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ints := rapid.SliceOfN(rapid.Int32(), 1, 50).Draw(t, "ints")
		if got := schemas.NewLattice(1, len(ints), 1, ints).Ints(nil); !slices.Equal(got, ints) {
			t.Fatalf("got %v, want %v", got, ints)
		}
		floats := make([]float32, len(ints))
		for i, x := range ints {
			floats[i] = math.Float32frombits(uint32(x))
		}
		for i, x := range schemas.NewParams(len(ints), 1, floats).Floats(make([]float32, len(ints))) {
			if math.Float32bits(x) != uint32(ints[i]) {
				t.Fatalf("value %d: %x, want %x", i, math.Float32bits(x), uint32(ints[i]))
			}
		}
	})
}

// TestEmptyOptionalFields: an empty list and no list are the same message.
func TestEmptyOptionalFields(t *testing.T) {
	key, _ := testKey(t, 5)
	a := &schemas.Model{Header: head("a"), Params: schemas.NewParams(1, 1, []float32{1})}
	b := *a
	b.Folded = []schemas.Folded{}
	rawA, errA := schemas.Seal(a, key)
	rawB, errB := schemas.Seal(&b, key)
	if errA != nil || errB != nil || !bytes.Equal(rawA, rawB) {
		t.Errorf("%v %v\n%x\n%x", errA, errB, rawA, rawB)
	}
	if b.Folded == nil {
		t.Error("Seal changed its argument")
	}
}

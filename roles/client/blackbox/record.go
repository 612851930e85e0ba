package blackbox

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Record is what one step began with, and what identifies how it ended.
type Record struct {
	Run    string   // at most 255 bytes
	K      uint64   // number of the update
	Base   uint64   // version of the global prompt that it was made at
	Data   [32]byte // digest of the client's examples
	Update [32]byte // digest of the sealed update
	Batch  []bool   // for each example whether it was in the batch
	Norm   float64  // of the sum of clipped gradients of the global prompt, before the noise
	State  []byte   // of the learner, before the step
}

// fixed is the size of a record without batch and state: K, Base, Data, Update, Norm, length of the batch.
const fixed = 8 + 8 + 32 + 32 + 8 + 4

func (r Record) check() error {
	switch {
	case r.Run == "" || len(r.Run) > math.MaxUint8:
		return fmt.Errorf("%w: Run of %d bytes, want 1 to %d", ErrRecord, len(r.Run), math.MaxUint8)
	case int64(len(r.Batch)) > math.MaxInt32 || int64(len(r.State)) > maxLength/2:
		return fmt.Errorf("%w: Batch of %d examples, State of %d bytes", ErrRecord, len(r.Batch), len(r.State))
	}
	return nil
}

// plain returns everything but Run.
func (r Record) plain() []byte {
	b := make([]byte, 0, fixed+(len(r.Batch)+7)/8+len(r.State))
	b = binary.LittleEndian.AppendUint64(b, r.K)
	b = binary.LittleEndian.AppendUint64(b, r.Base)
	b = append(append(b, r.Data[:]...), r.Update[:]...)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(r.Norm))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Batch)))
	mask := make([]byte, (len(r.Batch)+7)/8)
	for i, in := range r.Batch {
		if in {
			mask[i/8] |= 1 << (i % 8)
		}
	}
	return append(append(b, mask...), r.State...)
}

// parse is the inverse of plain; it reports false for bytes that plain cannot have made.
func parse(b []byte) (r Record, ok bool) {
	if len(b) < fixed {
		return r, false
	}
	r.K, r.Base = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	copy(r.Data[:], b[16:])
	copy(r.Update[:], b[48:])
	r.Norm = math.Float64frombits(binary.LittleEndian.Uint64(b[80:]))
	n := int64(binary.LittleEndian.Uint32(b[88:]))
	b = b[fixed:]
	if int64(len(b)) < (n+7)/8 {
		return r, false
	}
	r.Batch = make([]bool, n)
	for i := range r.Batch {
		r.Batch[i] = b[i/8]>>(i%8)&1 == 1
	}
	r.State = append([]byte(nil), b[(n+7)/8:]...)
	return r, true
}

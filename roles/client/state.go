package client

import (
	"encoding/binary"
	"fmt"

	"dpfpl/mathx/prompt"
)

// The state committed with an update is the version it was made at (uint64, little
// endian) and then the learner's.
const baseSize = 8

func appendState(base uint64, learner []byte) []byte {
	b := make([]byte, 0, baseSize+len(learner))
	return append(binary.LittleEndian.AppendUint64(b, base), learner...)
}

// restore sets the learner to a committed state and returns its base. Error: ErrState.
func restore(s *prompt.Learner, state []byte) (base uint64, err error) {
	if len(state) < baseSize {
		return 0, fmt.Errorf("%w: %d bytes of state", ErrState, len(state))
	}
	if err := s.UnmarshalBinary(state[baseSize:]); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrState, err)
	}
	return binary.LittleEndian.Uint64(state), nil
}

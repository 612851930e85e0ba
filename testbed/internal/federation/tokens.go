package federation

import (
	"fmt"

	"dpfpl/mathx/clip"
	"dpfpl/testbed/internal/data"
)

// Tokens turns the class names, with the ending that follows them in a prompt, into token ids: Config.Names. Errors
// name the class.
func Tokens(m *clip.Model, set *data.Set) ([][]int, error) {
	out := make([][]int, len(set.Classes))
	for i, name := range set.Classes {
		ids, err := m.Tokens(name + set.Ending)
		if err != nil {
			return nil, fmt.Errorf("class %q: %w", name, err)
		}
		out[i] = ids
	}
	return out, nil
}

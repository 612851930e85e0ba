package clip

import "fmt"

// Words returns the token embeddings of a text, n×d row-major without SOS and EOT: what a hand-written
// context such as "a photo of a" is made of. Errors: those of Model.Tokens, and of reading the checkpoint.
func (m *Model) Words(text string) ([]float32, error) {
	ids, err := m.Tokens(text)
	if err != nil {
		return nil, err
	}
	ids = ids[:len(ids)-1]
	d := m.Text.Config().Width
	out := make([]float32, len(ids)*d)
	for i, id := range ids {
		if err := m.Text.tokens.read(out[i*d:(i+1)*d], id); err != nil {
			return nil, fmt.Errorf("embedding of token %d of %q: %w", id, text, err)
		}
	}
	return out, nil
}

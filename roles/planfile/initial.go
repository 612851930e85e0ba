package planfile

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"dpfpl/mathx/clip"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
)

// Initial returns version 0 of a plan's global prompt, l×d row-major: it follows from the plan's seed, or from
// its words and the model, and from nothing else. Errors: those of the model's tokenizer and of
// prompt.WordContext.
func Initial(p *schemas.Plan, m *clip.Model) ([]float32, error) {
	l, d := int(p.Prompt.Context), int(p.Prompt.Width)
	if p.Prompt.Init == "words" {
		words, err := m.Words(p.Prompt.Words)
		if err != nil {
			return nil, err
		}
		return prompt.WordContext(words, l, d)
	}
	return prompt.RandomContext(l, d, p.Prompt.Std, seeded(p.Seed)), nil
}

// seeded is the stream of the plan's seed from which the first prompt is drawn. It is public.
func seeded(seed uint64) rand.Source {
	const purpose = "global prompt"
	b := binary.LittleEndian.AppendUint64(nil, seed)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(purpose)))
	b = append(b, purpose...)
	b = append(b, make([]byte, 16)...) // of nobody, step 0
	return rand.NewChaCha8(sha256.Sum256(b))
}

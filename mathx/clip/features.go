package clip

// featureBatch is how many texts are evaluated together: enough for full speed, few enough
// that the workspace stays small.
const featureBatch = 64

// Features overwrites dst with the unit features, n×e, of n texts without learnable
// context, each the token ids of its text and EOT without SOS; nil dst is allocated. Errors
// are those of NewEncoder.
func (t *Text) Features(dst []float32, texts [][]int) ([]float32, error) {
	dim := t.cfg.Dim
	if dst == nil {
		dst = make([]float32, len(texts)*dim)
	}
	if len(dst) != len(texts)*dim {
		panic("clip: Features wants n·e values of dst")
	}
	for i := 0; i < len(texts); i += featureBatch {
		to := min(i+featureBatch, len(texts))
		e, err := t.NewEncoder(texts[i:to], 0)
		if err != nil {
			return nil, err
		}
		copy(dst[i*dim:], e.Forward(nil))
	}
	return dst, nil
}

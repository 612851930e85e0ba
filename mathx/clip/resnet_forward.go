package clip

// Features overwrites dst with the unit features, n×e, of n images, each
// 3×S×S preprocessed values, channels first; nil dst is allocated. It runs on
// the caller's goroutine alone: to use several cores, split the images.
func (n *ResNet) Features(dst, pixels []float32, images int) []float32 {
	size, dim := 3*n.cfg.Image*n.cfg.Image, n.cfg.Dim
	if dst == nil {
		dst = make([]float32, images*dim)
	}
	if len(pixels) != images*size || len(dst) != images*dim {
		panic("clip: Features wants n·3·S·S pixels and n·e values of dst")
	}
	s := n.spare.Get().(*resNetScratch)
	defer n.spare.Put(s)
	for i := range images {
		n.feature(dst[i*dim:(i+1)*dim], pixels[i*size:(i+1)*size], s)
	}
	return dst
}

// resNetScratch is the workspace for one image. Feature maps are
// side²×channels.
type resNetScratch struct {
	patches []float32    // pixels under the kernel, of the largest convolution
	maps    [4][]float32 // feature maps: the block's input, two of its insides, its shortcut

	tokens, keys    matrix // (grid²+1)×C, ×2C
	query, attended matrix // 1×C
	scores          []float32
}

func newResNetScratch(n *ResNet) *resNetScratch {
	s := &resNetScratch{}
	patches, largest := 0, 3*n.cfg.Image*n.cfg.Image
	fit := func(c *conv) {
		area := c.outSide() * c.outSide()
		if !c.direct() {
			patches = max(patches, area*c.size())
		}
		largest = max(largest, area*c.out, c.side*c.side*c.in)
	}
	for i := range n.stem {
		fit(&n.stem[i])
	}
	for i := range n.blocks {
		b := &n.blocks[i]
		fit(&b.reduce)
		fit(&b.middle)
		fit(&b.expand)
	}
	s.patches = make([]float32, patches)
	for i := range s.maps {
		s.maps[i] = make([]float32, largest)
	}
	tokens, width := n.pool.positions.Rows, n.pool.positions.Cols
	s.tokens, s.keys = newMatrix(tokens, width), newMatrix(tokens, 2*width)
	s.query, s.attended = newMatrix(1, width), newMatrix(1, width)
	s.scores = make([]float32, tokens)
	return s
}

// direct tells that the patches of a convolution are its input as it lies.
func (c *conv) direct() bool { return c.kernel == 1 && c.stride == 1 && c.padding == 0 }

// run applies a convolution to a feature map.
func (s *resNetScratch) run(c *conv, dst, src []float32) {
	side := c.outSide()
	area := side * side
	out := matrix{Rows: area, Cols: c.out, Stride: c.out, Data: dst[:area*c.out]}
	if !c.direct() {
		c.apply(out, matrix{Rows: area, Cols: c.size(), Stride: c.size(), Data: s.patches[:area*c.size()]}, src)
		return
	}
	c.w.apply(out, matrix{Rows: area, Cols: c.in, Stride: c.in, Data: src[:area*c.in]})
	if c.relu {
		relu(out.Data)
	}
}

func relu(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}

func (n *ResNet) feature(dst, pixels []float32, s *resNetScratch) {
	x, a, b, short := s.maps[0], s.maps[1], s.maps[2], s.maps[3]
	channelsLast(a, pixels, n.cfg.Image)
	s.run(&n.stem[0], b, a)
	s.run(&n.stem[1], a, b)
	s.run(&n.stem[2], b, a)
	average(x, b, n.stem[2].outSide(), n.stem[2].out)
	for i := range n.blocks {
		k := &n.blocks[i]
		s.run(&k.reduce, a, x)
		s.run(&k.middle, b, a)
		if k.shrink {
			average(a, b, k.middle.side, k.middle.out)
			a, b = b, a
			average(short, x, k.reduce.side, k.reduce.in)
			x, short = short, x
		}
		s.run(&k.expand, a, b)
		if k.shortcut != nil {
			s.run(k.shortcut, short, x)
			x, short = short, x
		}
		out := k.expand.side * k.expand.side * k.expand.out
		n.engine.Add(x[:out], a[:out])
		relu(x[:out])
	}
	n.attend(dst, x, s)
}

// average halves a side²×channels map by the mean of each 2×2 square.
func average(dst, src []float32, side, channels int) {
	half := side / 2
	for y := range half {
		for x := range half {
			d := dst[(y*half+x)*channels:][:channels]
			above := src[(2*y*side+2*x)*channels:][:2*channels]
			below := src[((2*y+1)*side+2*x)*channels:][:2*channels]
			for c := range d {
				d[c] = (above[c] + above[channels+c] + below[c] + below[channels+c]) * 0.25
			}
		}
	}
}

// attend pools a grid²×C map to the feature.
func (n *ResNet) attend(dst, src []float32, s *resNetScratch) {
	p := &n.pool
	width, places := s.tokens.Cols, s.tokens.Rows-1
	mean := row(s.tokens, 0)
	for c := range mean {
		sum := 0.0
		for i := range places {
			sum += float64(src[i*width+c])
		}
		mean[c] = float32(sum / float64(places))
	}
	copy(s.tokens.Data[width:], src[:places*width])
	n.engine.Add(s.tokens.Data, p.positions.Data)
	p.query.apply(s.query, rows(s.tokens, 0, 1))
	p.keys.apply(s.keys, s.tokens)
	for from := 0; from < width; from += attentionHead {
		n.attendHead(s, from)
	}
	p.output.apply(matrix{Rows: 1, Cols: len(dst), Stride: len(dst), Data: dst}, s.attended)
	normalise(dst)
}

// attendHead fills the head's columns, which begin at from.
func (n *ResNet) attendHead(s *resNetScratch, from int) {
	q := s.query.Data[from : from+attentionHead]
	for i := range s.scores {
		key := row(s.keys, i)[from : from+attentionHead]
		sum := 0.0
		for c, v := range q {
			sum += float64(v) * float64(key[c])
		}
		s.scores[i] = float32(sum)
	}
	n.engine.Softmax(s.scores, len(s.scores), len(s.scores))
	out := s.attended.Data[from : from+attentionHead]
	clear(out)
	for i, p := range s.scores {
		value := row(s.keys, i)[s.tokens.Cols+from:][:attentionHead]
		for c, v := range value {
			out[c] += float32(p * v)
		}
	}
}

package kernel

import "math"

// SetRows overwrites every row of x with b.
func SetRows(x, b []float32) {
	for i := 0; i < len(x); i += len(b) {
		copy(x[i:i+len(b)], b)
	}
}

// AddRows adds b to every row of x.
func (e Engine) AddRows(x, b []float32) {
	for i := 0; i < len(x); i += len(b) {
		e.Add(x[i:i+len(b)], b)
	}
}

// Add computes dst += src.
func (e Engine) Add(dst, src []float32) {
	n := 0
	if e == AVX2 {
		n = len(dst) / lanes * lanes
		addAVX2(dst[:n], src)
	}
	for i, v := range src[n:] {
		dst[n+i] += v
	}
}

// Hadamard computes dst ∘= src.
func (e Engine) Hadamard(dst, src []float32) {
	n := 0
	if e == AVX2 {
		n = len(dst) / lanes * lanes
		hadamardAVX2(dst[:n], src)
	}
	for i, v := range src[n:] {
		dst[n+i] *= v
	}
}

// Standardise sets dst = (src − mean)·rstd, the layer norm without gain and shift, and
// returns rstd = 1/√(variance + eps). dst and src may be the same.
func (e Engine) Standardise(dst, src []float32, eps float64) (rstd float32) {
	if e == AVX2 && len(src)%lanes == 0 {
		return standardiseAVX2(dst, src, float32(eps))
	}
	n := float64(len(src))
	var sum float64
	for _, v := range src {
		sum += float64(v)
	}
	mean := sum / n
	var sq float64
	for _, v := range src {
		d := float64(v) - mean
		sq += d * d
	}
	inv := 1 / math.Sqrt(sq/n+eps)
	for i, v := range src {
		dst[i] = float32((float64(v) - mean) * inv)
	}
	return float32(inv)
}

// StandardiseBack adds to g the gradient at the input of Standardise, given the gradient
// dy at its output y: g += rstd·(dy − mean(dy) − y·mean(dy∘y)).
func (e Engine) StandardiseBack(g, dy, y []float32, rstd float32) {
	if e == AVX2 && len(g)%lanes == 0 {
		standardiseBackAVX2(g, dy, y, rstd)
		return
	}
	var m, my float64
	for i, v := range dy {
		m += float64(v)
		my += float64(v) * float64(y[i])
	}
	n := float64(len(dy))
	m, my = m/n, my/n
	for i, v := range dy {
		g[i] += float32(float64(rstd) * (float64(v) - m - float64(y[i])*my))
	}
}

// Softmax replaces each row of length n, ld apart, by its softmax. −Inf gives exactly 0;
// a row must have a finite entry.
func (e Engine) Softmax(x []float32, n, ld int) {
	if e == AVX2 && n%lanes == 0 {
		softmaxAVX2(x, n, ld)
		return
	}
	for i := 0; i+n <= len(x); i += ld {
		softmaxRow(x[i : i+n])
	}
}

func softmaxRow(x []float32) {
	top := float32(math.Inf(-1))
	for _, v := range x {
		top = max(top, v)
	}
	var sum float64
	for i, v := range x {
		p := math.Exp(float64(v - top))
		sum += p
		x[i] = float32(p)
	}
	for i, v := range x {
		x[i] = float32(float64(v) / sum)
	}
}

// SoftmaxBack replaces each row d, the gradient at a softmax's output p, by the gradient
// at its input, p∘(d − d·p). Rows have length n and are ld apart in both.
func (e Engine) SoftmaxBack(d, p []float32, n, ld int) {
	if e == AVX2 && n%lanes == 0 {
		softmaxBackAVX2(d, p, n, ld)
		return
	}
	for i := 0; i+n <= len(d); i += ld {
		row, prob := d[i:i+n], p[i:i+n]
		var dot float64
		for j, v := range row {
			dot += float64(v) * float64(prob[j])
		}
		for j, v := range row {
			row[j] = float32(float64(prob[j]) * (float64(v) - dot))
		}
	}
}

// QuickGELU replaces x by x·σ(1.702 x) and, unless slope is nil, stores the derivative
// there.
func (e Engine) QuickGELU(x, slope []float32) {
	if e == AVX2 {
		quickGELUAVX2(x, slope)
		return
	}
	for i, v := range x {
		u := 1.702 * float64(v)
		s := 1 / (1 + math.Exp(-u))
		x[i] = float32(float64(v) * s)
		if slope != nil {
			slope[i] = float32(s * (1 + u*(1-s)))
		}
	}
}

// GELU replaces x by x·Φ(x), Φ the normal distribution function, and, unless slope is
// nil, stores the derivative there.
func (e Engine) GELU(x, slope []float32) {
	for i, v := range x {
		u := float64(v)
		cdf := 0.5 * math.Erfc(-u/math.Sqrt2)
		x[i] = float32(u * cdf)
		if slope != nil {
			slope[i] = float32(cdf + u*math.Exp(-u*u/2)/math.Sqrt(2*math.Pi))
		}
	}
}

// DotHeads treats x and y as heads of width dh and sets dst[h·stride] = x_h·y_h.
func (e Engine) DotHeads(dst []float32, stride int, x, y []float32, dh int) {
	if e == AVX2 && dh%lanes == 0 {
		dotHeadsAVX2(dst, stride, x, y, dh)
		return
	}
	for h := 0; h*dh < len(x); h++ {
		var sum float32
		for i := h * dh; i < (h+1)*dh; i++ {
			sum += x[i] * y[i]
		}
		dst[h*stride] = sum
	}
}

// AxpyHeads computes y_h += alpha[h·stride]·x_h for every head of width dh.
func (e Engine) AxpyHeads(y, x, alpha []float32, stride, dh int) {
	if e == AVX2 && dh%lanes == 0 {
		axpyHeadsAVX2(y, x, alpha, stride, dh)
		return
	}
	for h := 0; h*dh < len(x); h++ {
		a := alpha[h*stride]
		for i := h * dh; i < (h+1)*dh; i++ {
			y[i] += a * x[i]
		}
	}
}

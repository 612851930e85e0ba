package agg

// sum adds weighted updates as they come, so its memory does not grow with their number.
type sum struct {
	load
	divisor int64
	total   []int64
}

// NewSum returns the weighted sum of updates of dimension dim with a fixed divisor, the number of
// updates that a full version has: FedAvg, FedBuff, and with divisor 1 FedAsync. It panics unless both are
// positive. An empty buffer combines to zero.
func NewSum(dim, divisor int) Buffer {
	if dim <= 0 || divisor <= 0 {
		panic("agg: NewSum: dim and divisor must be positive")
	}
	return &sum{load: load{dim: dim}, divisor: int64(divisor), total: make([]int64, dim)}
}

func (s *sum) Add(x []int32, weight uint32) error {
	if err := s.take(x, weight); err != nil {
		return err
	}
	w := int64(weight)
	for j, v := range x {
		s.total[j] += w * int64(v)
	}
	return nil
}

func (s *sum) Combine(dst []int64) (int64, error) {
	s.checkDst(dst)
	copy(dst, s.total)
	s.Reset()
	return s.divisor, nil
}

func (s *sum) Reset() {
	s.reset()
	clear(s.total)
}

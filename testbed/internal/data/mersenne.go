package data

import "math/bits"

// mersenne is MT19937 (Matsumoto and Nishimura 1998) as CPython's random module seeds and uses it, so that
// partitions made by the paper's code can be made again.
type mersenne struct {
	state [624]uint32
	next  int
}

// newMersenne does random.seed(seed) for a non-negative int: CPython seeds with the key array of its 32-bit words,
// lowest first.
func newMersenne(seed uint64) *mersenne {
	key := []uint32{uint32(seed)}
	if high := uint32(seed >> 32); high != 0 {
		key = append(key, high)
	}
	m := &mersenne{}
	m.seedWord(19650218)
	m.mixKey(key)
	return m
}

// seedWord is the reference's init_genrand.
func (m *mersenne) seedWord(s uint32) {
	m.state[0] = s
	for i := 1; i < len(m.state); i++ {
		m.state[i] = 1812433253*m.recent(i) + uint32(i)
	}
	m.next = len(m.state)
}

// recent is the word before word i, its two highest bits folded in.
func (m *mersenne) recent(i int) uint32 { return m.state[i-1] ^ m.state[i-1]>>30 }

// mixKey is the second part of the reference's init_by_array.
func (m *mersenne) mixKey(key []uint32) {
	i, j := 1, 0
	advance := func() {
		if i++; i == len(m.state) {
			m.state[0], i = m.state[len(m.state)-1], 1
		}
	}
	for range max(len(m.state), len(key)) {
		m.state[i] = (m.state[i] ^ 1664525*m.recent(i)) + key[j] + uint32(j)
		advance()
		j = (j + 1) % len(key)
	}
	for range len(m.state) - 1 {
		m.state[i] = (m.state[i] ^ 1566083941*m.recent(i)) - uint32(i)
		advance()
	}
	m.state[0] = 1 << 31
}

// uint32 is the next tempered word.
func (m *mersenne) uint32() uint32 {
	if m.next == len(m.state) {
		m.twist()
	}
	y := m.state[m.next]
	m.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (m *mersenne) twist() {
	const n, half = len(m.state), 397
	for i := range m.state {
		y := m.state[i]&(1<<31) | m.state[(i+1)%n]&(1<<31-1)
		m.state[i] = m.state[(i+half)%n] ^ y>>1 ^ -(y&1)&0x9908b0df
	}
	m.next = 0
}

// below is CPython's Random._randbelow for 0 < n < 2^32: the highest bits of a word, drawn again until they are small enough.
func (m *mersenne) below(n uint32) uint32 {
	shift := 32 - bits.Len32(n)
	for {
		if r := m.uint32() >> shift; r < n {
			return r
		}
	}
}

// shuffle is CPython's random.shuffle.
func (m *mersenne) shuffle(x []int) {
	for i := len(x) - 1; i > 0; i-- {
		j := m.below(uint32(i + 1))
		x[i], x[j] = x[j], x[i]
	}
}

package schemas

// Update is a client's K-th noised update of the global prompt: the only thing about its data that
// leaves a client.
type Update struct {
	Header
	K    uint64 `msgpack:"k"`    // 1…N, the client's own count
	Base uint64 `msgpack:"base"` // the model version the gradient was taken at
	// Sum is the noised lattice vector: the sum over the Poisson batch of clipped gradients with respect
	// to the global prompt, l×d row-major, in units of Step. Divide by the plan's Batch for a mean.
	Sum Lattice `msgpack:"sum"`
	// Mechanism is what the client actually ran.
	Mechanism Mechanism `msgpack:"mech"`
}

// Lattice is an integer matrix in units of Step: Rows×Cols little-endian int32, row-major.
type Lattice struct {
	Rows uint16  `msgpack:"rows"`
	Cols uint16  `msgpack:"cols"`
	Step float64 `msgpack:"step"`
	Data Blob    `msgpack:"data"`
}

// Mechanism records the noise that an update carries.
type Mechanism struct {
	Noise     string  `msgpack:"noise"` // "client" or "none"
	Adjacency string  `msgpack:"adj"`
	Rate      float64 `msgpack:"q"`
	ZU        float64 `msgpack:"zu"`
	ZV        float64 `msgpack:"zv"`
	ZG        float64 `msgpack:"zg"`
	Z         float64 `msgpack:"z"` // joint multiplier of the three groups
}

// Kind returns KindUpdate.
func (*Update) Kind() Kind { return KindUpdate }

// Head returns the header.
func (u *Update) Head() *Header { return &u.Header }

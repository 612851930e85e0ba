package agg

import "math"

// Optimizer is the server's side of a version: gradient descent with heavy-ball momentum on the mean
// gradient (FedAvgM, Hsu et al. 2019).
type Optimizer struct {
	Rate     float64 // eta_G
	Momentum float64 // in [0, 1); 0 keeps no velocity
	// Velocity is the state; nil until the first Step with Momentum, then one number per parameter.
	Velocity []float64
}

// Scale returns what one unit of a combined vector is worth as a mean gradient:
// step/(One·divisor·batch). Step is the lattice's, batch the public divisor B̄.
func Scale(step float64, divisor int64, batch float64) float64 {
	return step / (One * float64(divisor) * batch)
}

// Step moves params against the mean gradient combined·scale:
//
//	velocity ← Momentum·velocity + combined·scale
//	params   ← params − Rate·velocity
//
// in float64, each operation rounded by itself, params rounded to float32 at the end. What would leave
// the range of finite numbers stays at its end, so that no update can end a run. It panics if lengths
// differ.
func (o *Optimizer) Step(params []float32, combined []int64, scale float64) {
	if len(params) != len(combined) {
		panic("agg: Step: params and combined differ in length")
	}
	if o.Momentum != 0 && o.Velocity == nil {
		o.Velocity = make([]float64, len(params))
	}
	if o.Velocity != nil && len(o.Velocity) != len(params) {
		panic("agg: Step: params and Velocity differ in length")
	}
	for j, v := range combined {
		velocity := within(float64(v)*scale, math.MaxFloat64)
		if o.Velocity != nil {
			velocity = within(float64(o.Momentum*o.Velocity[j])+velocity, math.MaxFloat64)
			o.Velocity[j] = velocity
		}
		params[j] = float32(within(float64(params[j])-float64(o.Rate*velocity), math.MaxFloat32))
	}
}

func within(v, limit float64) float64 { return min(max(v, -limit), limit) }

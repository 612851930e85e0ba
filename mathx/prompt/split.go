package prompt

import (
	"math"

	"dpfpl/mathx/dp"
)

// EqualSplit returns equal noise multipliers for the configuration's groups that
// together make the joint one.
func (c *Config) EqualSplit(joint float64, l, d int) Norms {
	groups := c.Groups(l, d)
	return sorted(groups, dp.SplitEvenly(joint, len(groups)))
}

// LeastEnergySplit returns the noise multipliers that together make the joint one
// with the least noise energy, the sum over groups of dim·sigma²: large groups get
// less noise a coordinate. It says nothing about the signal, so measure.
func (c *Config) LeastEnergySplit(joint float64, l, d int) Norms {
	groups := c.Groups(l, d)
	return sorted(groups, dp.SplitLeastNoise(joint, groups))
}

// Multipliers sorts the groups' noise multipliers into the fields of a configuration.
func Multipliers(groups []dp.Group) Norms {
	z := make([]float64, len(groups))
	for i, g := range groups {
		z[i] = g.Z
	}
	return sorted(groups, z)
}

func sorted(groups []dp.Group, z []float64) Norms {
	var n Norms
	for i, g := range groups {
		switch g.Name {
		case "u", "local":
			n.U = z[i]
		case "v":
			n.V = z[i]
		case "global":
			n.G = z[i]
		}
	}
	return n
}

// PaperNoise returns the multipliers of the authors' code in paper mode: sigma_L =
// (C/B)·sqrt(T ln(1/delta))/epsilon on the gradients of u and v, and as much noise on
// each client's global gradient as gives the mean over all clients the authors'
// sigma_G = sigma_L/clients. Their claim of epsilon does not hold for it.
func PaperNoise(epsilon, delta float64, steps, batch, clients int) Norms {
	local := math.Sqrt(float64(steps)*math.Log(1/delta)) / epsilon / float64(batch)
	return Norms{U: local, V: local, G: local / math.Sqrt(float64(clients))}
}

package dp

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestStatementWarns(t *testing.T) {
	groups := []Group{{Name: "u", Z: 2}, {Name: "v", Z: 2}, {Name: "G", Z: 2}}
	for _, c := range []struct {
		name  string
		a     *Account
		delta float64
		claim Claim
		want  string // "" for no warning
	}{
		{"sound", spend(t, ZeroOut, poisson(0.05, 2, 100)), 1e-5, Claim{Records: 500}, ""},
		{"joint", spend(t, ZeroOut, poisson(0.05, Joint(2, 2, 2), 10)), 1e-5, Claim{Groups: groups}, ""},
		{"large delta", spend(t, ZeroOut, poisson(0.05, 2, 100)), 2e-3, Claim{Records: 500}, "not below 1/N"},
		{"large epsilon", spend(t, ZeroOut, poisson(0.5, 1, 100)), 1e-5, Claim{}, "above 10"},
		{"epochs as steps", spend(t, ZeroOut, poisson(1, 10, 10)), 1e-5, Claim{}, "count epochs"},
		{"epochs", spend(t, ZeroOut, Spent{Step{Epochs, 1, 10}, 10}), 1e-5, Claim{}, "no amplification"},
		{"edge of the grid", spend(t, ZeroOut, poisson(1, 5000, 1)), 1e-5, Claim{}, "end of the grid"},
		{"batch clipping", spend(t, ZeroOut, poisson(0.05, 2, 100)), 1e-5, Claim{BatchClipped: true}, "batch gradient was clipped"},
		{"no noise", spend(t, ZeroOut), 1e-5, Claim{Unprotected: true}, "nothing is protected"},
		{"accounted apart", spend(t, ZeroOut, poisson(0.05, 2, 10)), 1e-5, Claim{Groups: groups}, "accounted apart"},
		{"secret size", spend(t, AddRemove, poisson(0.05, 2, 10)), 1e-5, Claim{}, "number of records is secret"},
	} {
		s, err := c.a.Statement(c.delta, c.claim)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(s.Warnings, "\n")
		if (c.want == "") != (text == "") || !strings.Contains(text, c.want) {
			t.Errorf("%s: warnings %q, want %q", c.name, text, c.want)
		}
		if c.want != "" && !strings.Contains(s.String(), "Warning: ") {
			t.Errorf("%s: the text does not show the warning:\n%s", c.name, s)
		}
	}
}

// TestNoGuaranteeIsSaid: without noise or without a sensitivity there is no number.
func TestNoGuaranteeIsSaid(t *testing.T) {
	for _, claim := range []Claim{{Unprotected: true}, {BatchClipped: true}} {
		s, err := spend(t, ZeroOut, poisson(0.05, 2, 10)).Statement(1e-5, claim)
		if err != nil {
			t.Fatal(err)
		}
		if !math.IsInf(s.Renyi.Epsilon, 1) || !math.IsInf(s.PLD, 1) || !strings.Contains(s.String(), "no guarantee") {
			t.Errorf("%+v: %v", claim, s)
		}
	}
}

func TestStatementWithoutPLD(t *testing.T) {
	s, err := spend(t, ReplaceOne, Spent{Step{FixedSize, 0.064, 2}, 100}).Statement(1e-5, Claim{Unit: Client, Protected: "the federation", Adversary: "readers of the model"})
	if err != nil || !math.IsNaN(s.PLD) {
		t.Fatalf("PLD %v, error %v", s.PLD, err)
	}
	for _, want := range []string{"Each client of the federation", "readers of the model", "proven by", "no privacy-loss distribution", "exchanged", "without replacement"} {
		if !strings.Contains(s.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, s)
		}
	}
	if s, err := spend(t, ZeroOut, poisson(0.1, 1, 1)).Statement(1e-12, Claim{}); err != nil || !math.IsNaN(s.PLD) {
		t.Errorf("tiny delta: PLD %v, error %v", s.PLD, err)
	}
	if _, err := spend(t, ZeroOut).Statement(0, Claim{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("delta 0: error %v", err)
	}
}

// TestStatementOfReplaceOne: the doubled bound is not claimed to be a proof.
func TestStatementOfReplaceOne(t *testing.T) {
	s, err := spend(t, ReplaceOne, poisson(0.064, 2, 100)).Statement(1e-5, Claim{})
	if err != nil || !strings.Contains(s.String(), "verified numerically") || strings.Contains(s.String(), "proven") {
		t.Errorf("%v, %v", s, err)
	}
}

func ExampleStatement() {
	account, _ := NewAccount(ZeroOut)
	_ = account.Spend(Step{Q: 0.064, Z: 2}, 1600)
	s, _ := account.Statement(1e-5, Claim{Protected: "client 3", Records: 500})
	fmt.Print(s)
	// Output:
	// Each record of client 3 is protected against anyone who sees every message of the client:
	// epsilon = 6.9512 at delta = 1e-05 under zero-out (the contribution of one record set to zero),
	// proven by Rényi divergence of order 4; the privacy-loss distribution of continuous noise gives 6.4225.
	// 1600 steps, each record taken independently with probability q = 0.064 (Poisson), noise of standard deviation z = 2 times the clip norm on the sum (all releases of a step jointly).
}

// Package roletest is what the tests of roles share: scripts that are whole conversations, keys that follow from a name, and a small
// plan.
package roletest

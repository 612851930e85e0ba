// Package planfile is the plan of a run as people write it: a YAML file with a comment at every field. It
// fills in what follows from the rest, says in words what a plan promises, and makes version 0 of the global
// prompt, so that a testbed and a deployment start from the same bits.
//
// [File] is what the testbed reads, too: method, prompt, rule and privacy. [Deployment] is a whole plan: it adds
// the run's name, its classes and model, and who takes part with which keys.
package planfile

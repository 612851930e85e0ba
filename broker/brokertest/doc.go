// Package brokertest runs real NATS servers inside the process: for tests, and for experiments that hold
// a whole federation in one process. It adds connections that can be cut and slowed down, and virtual time.
package brokertest

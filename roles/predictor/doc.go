// Package predictor says what is on a picture: it compares the picture's feature with those of class names behind
// a prompt, which are computed once. [Handler] does so over HTTP.
package predictor

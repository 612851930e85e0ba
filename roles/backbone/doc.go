// Package backbone opens what a client computes with but never trains: the
// frozen CLIP of a model folder, and image features that were computed with
// it once and cached.
//
// A model folder's weights are memory-mapped for the rows of the token
// embedding that class names need, and read once for what is packed. The files
// must not be cut short while the model is open.
//
// A feature cache is a folder of three files:
//
//	features.npy  N×e float16 or float32, unit rows
//	labels.npy    N int64, indices into classes
//	meta.json     Meta: digests of model and files, classes, one name per row
package backbone

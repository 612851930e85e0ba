// Package data turns pictures into a federation: class names, and for every client the pictures it
// trains on, the pictures it is tested on, and pictures of its neighbours' classes.
//
// Two sets come with the testbed (Open). "emoji" is one concept drawn by several artists: a client is a
// drawing style that the frozen model never saw and a block of neighbouring concepts. There is only one
// drawing per concept and artist, so the local test shows *other views of the client's own drawings, from
// augmentation ranges never trained on*; whoever prints a number says so (Set.LocalTest). "fashion" is a
// part of Fashion-MNIST with a separate test sheet: clients differ by label skew and by their camera.
//
// Other sources (Source: CoOp's splits, folders, features, CIFAR-100, IDX files) give a Pool, which a partition
// (Pathological, Dirichlet, ByStyle, FewShot, Truncate) divides among clients.
//
// Everything here is deterministic: a picture's pixels follow from the seed and its Key, in whatever
// order pictures are rendered. Augmentation goes through golang.org/x/image/draw, whose float64
// arithmetic a compiler may fuse on some architectures: a pixel can differ there by one level.
package data

// Package prompt holds the learning methods: how one client turns a batch of its
// own examples into one noised release, and how that release moves the client's
// local prompt.
//
// # Symbols
//
// l context vectors of width d, shared by all C classes; features of dimension e.
// p_G is the global prompt and p_L the local one (both l×d, row-major), B̄ the public
// divisor of a sum over a batch, k the rank. The paper is Tran, Sun, Patterson,
// Milanova, "Privacy-Preserving Personalized Federated Prompt Learning for Multimodal
// Large Language Models", arXiv 2501.13904.
//
// # Methods
//
//	promptfl  p_G                released: G
//	fedotp    p_G + p_L          released: the full gradient of p_L, G
//	fedpgp    p_G + u v          released: u, v, G; u and v persist and are trained directly
//	dplora    p_G + u v          released: u, v, G; u and v are factorised from p_L every step
//	dpfpl     p_G + u v + r      the same with the residual r = p_L - u v, so p_G + p_L
//
// fedotp and fedpgp are the paper's simplified versions of those methods, without
// optimal transport and without the contrastive term. The full gradient of fedotp's
// p_L uses the clip norm and noise multiplier of u.
//
// # One step
//
// [Learner.Step] evaluates the text tower once at the personal prompt, pulls each
// example's softmax residual back to the context, takes that gradient to the method's
// groups, and hands it to a [dp.Mechanism], which clips. Everything after that sees
// only the [dp.Noised]: the local prompt moves by it, p_L is factorised anew with
// fresh public randomness, and the last group, the gradient of the global prompt, is
// what goes on the wire. The one function of a method that changes parameters takes a
// Noised, so an un-noised update of the local prompt does not type-check. The residual
// needs no noise of its own, because p_L is a function of released values and public
// randomness alone.
//
// In paper mode the gradient of the batch mean is clipped as one record, as the
// authors' code does. One example can then move the release by twice the clip norm,
// not by a share of it, so no guarantee is stated for it; it exists for comparison.
package prompt

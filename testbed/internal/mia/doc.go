// Package mia attacks what a client publishes, its personal prompt, by membership inference: was this picture
// among those that the prompt was trained on? It runs two attacks over a list of privacy budgets and sets the
// best that any attack could do under the accounted guarantee beside them.
//
// The first is the paper's (Tran et al., ICLR 2025, appendix A.3): an attack model for each class, a network
// of two layers on the softmax vector, trained on shadow prompts. In the authors' evaluation the members were
// the records that truncation had removed from training, so it could not succeed; here members are records
// that were trained on, non-members are other pictures of the same client, and both are equally many on
// average. The second is LiRA (Carlini et al. 2022, arXiv 2112.03570), which compares a record's confidence
// with its own distributions in shadow prompts trained with and without it.
//
// CLIP is frozen, so pictures are embedded once and a shadow prompt is a short training run on features. Every
// shadow prompt is trained on a random half of one client's pictures and serves as the target in its turn,
// with the others as its shadows. The client is alone in its federation: nobody else's updates blur what its
// own leave in the global prompt, which is the best case for the attacker.
package mia

import "errors"

// ErrOptions reports options outside their domain; the message names the flag.
var ErrOptions = errors.New("mia options")

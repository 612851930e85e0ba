// Package clip computes with frozen CLIP models: text and image features, and
// the gradient of a loss with respect to learnable context vectors (Radford et
// al. 2021; Zhou et al. 2022 for the context).
//
// # Model folders
//
// Load reads a folder through fs.FS. Two layouts are known:
//
//	Hugging Face   config.json, model.safetensors or shards with
//	               model.safetensors.index.json, preprocessor_config.json;
//	               ViT towers, or our convolutional stem (VisionConfig.Stem)
//	OpenAI         model.safetensors or open_clip_model.safetensors under
//	               OpenAI's tensor names, open_clip_config.json if there is
//	               one; ViT towers and ResNets. Shapes tell the configuration.
//
// Beside either, a vocabulary: vocab.json with merges.txt, tokenizer.json, or
// bpe_simple_vocab_16e6.txt.gz. Either tower may be absent. What is read is
// read bounded: a file that is damaged, cut short or hostile is an error that
// names the file and the tensor or key.
//
// # What is identical to what
//
//   - Tokens are those of Hugging Face's CLIPTokenizer (its tokenizers library;
//     OpenAI's own code also repairs mojibake with ftfy, unescapes HTML and
//     lower-cases a final sigma differently) for every character that Unicode
//     15 assigns. Go's and the library's tables differ on newer characters.
//   - Pixels are those of PIL: convert("RGB"), resize, centre crop. PNG, GIF
//     and WebP agree exactly; a JPEG's channel may differ by up to 3/255, by
//     0.04/255 on average, because inverse cosine transforms may round either
//     way. The crop is Hugging Face's: odd rests to the right and below.
//   - Features agree with PyTorch up to float32 rounding, and do not depend on
//     how many texts or images are evaluated together.
package clip

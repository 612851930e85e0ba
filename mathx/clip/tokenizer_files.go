package clip

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Names of the files a vocabulary is looked for in, in this order.
const (
	vocabFile     = "vocab.json"
	mergesFile    = "merges.txt"
	tokenizerFile = "tokenizer.json"
	gzipFile      = "bpe_simple_vocab_16e6.txt.gz"
)

// LoadTokenizer reads the vocabulary of a model folder: vocab.json with
// merges.txt, or tokenizer.json, or OpenAI's gzipped merges. It returns an
// error wrapping fs.ErrNotExist if there is none, ErrTokenizer if it is bad.
func LoadTokenizer(fsys fs.FS) (*Tokenizer, error) {
	vocab, err := readFile(fsys, vocabFile, maxIndex)
	if err == nil {
		merges, err := readFile(fsys, mergesFile, maxIndex)
		if err != nil {
			return nil, fmt.Errorf("clip: %s without its merges: %w", vocabFile, err)
		}
		return ParseVocab(vocab, merges)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	data, err := readFile(fsys, tokenizerFile, maxIndex)
	if err == nil {
		return ParseTokenizer(data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	data, err = readFile(fsys, gzipFile, maxIndex)
	if err == nil {
		return ParseMerges(data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return nil, fmt.Errorf("clip: no %s, %s or %s: %w", vocabFile, tokenizerFile, gzipFile, fs.ErrNotExist)
}

// ParseVocab reads the text of vocab.json and merges.txt.
func ParseVocab(vocab, merges []byte) (*Tokenizer, error) {
	var ids map[string]int
	if err := json.Unmarshal(vocab, &ids); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrTokenizer, vocabFile, err)
	}
	lines, err := mergeLines(bytes.NewReader(merges))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrTokenizer, mergesFile, err)
	}
	return NewTokenizer(ids, lines)
}

// ParseTokenizer reads the text of a tokenizer.json of CLIP's kind.
func ParseTokenizer(data []byte) (*Tokenizer, error) {
	var f struct {
		Normalizer json.RawMessage `json:"normalizer"`
		Added      []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
		} `json:"added_tokens"`
		Model struct {
			Type   string         `json:"type"`
			Suffix string         `json:"end_of_word_suffix"`
			Vocab  map[string]int `json:"vocab"`
			Merges []mergeJSON    `json:"merges"`
		} `json:"model"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrTokenizer, tokenizerFile, err)
	}
	if f.Model.Type != "BPE" && f.Model.Type != "" || f.Model.Suffix != wordEnd || !bytes.Contains(f.Normalizer, []byte(`"Lowercase"`)) {
		return nil, fmt.Errorf("%w: %s is not of CLIP's kind (BPE, %s, lower case)", ErrTokenizer, tokenizerFile, wordEnd)
	}
	if f.Model.Vocab == nil {
		return nil, fmt.Errorf("%w: %s has no vocabulary", ErrTokenizer, tokenizerFile)
	}
	for _, a := range f.Added {
		f.Model.Vocab[a.Content] = a.ID
	}
	merges := make([][2]string, len(f.Model.Merges))
	for i, m := range f.Model.Merges {
		merges[i] = m
	}
	return NewTokenizer(f.Model.Vocab, merges)
}

// mergeJSON is a merge as "a b" or, since 2024, as ["a", "b"].
type mergeJSON [2]string

// UnmarshalJSON implements json.Unmarshaler.
func (m *mergeJSON) UnmarshalJSON(data []byte) error {
	var parts []string
	var line string
	if err := json.Unmarshal(data, &line); err == nil {
		parts = strings.Split(line, " ")
	} else if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	if len(parts) != 2 {
		return fmt.Errorf("merge %q has %d parts, want 2", parts, len(parts))
	}
	*m = mergeJSON(parts)
	return nil
}

// simpleMerges is how many lines of OpenAI's merges file are used; the file
// goes on for 200,000 more.
const simpleMerges = 49152 - 256 - 2

// ParseMerges reads OpenAI's gzipped merges. The vocabulary follows from
// them: the 256 bytes, the same ending a word, one token a merge, SOS, EOT.
func ParseMerges(gz []byte) (*Tokenizer, error) {
	r, err := gzip.NewReader(bytes.NewReader(gz))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrTokenizer, gzipFile, err)
	}
	merges, err := mergeLines(io.LimitReader(r, maxIndex))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrTokenizer, gzipFile, err)
	}
	merges = merges[:min(len(merges), simpleMerges)]
	names := simpleBytes()
	for _, name := range slices.Clone(names) {
		names = append(names, name+wordEnd)
	}
	for _, m := range merges {
		names = append(names, m[0]+m[1])
	}
	names = append(names, sosToken, eotToken)
	vocab := make(map[string]int, len(names))
	for id, name := range names {
		vocab[name] = id
	}
	return NewTokenizer(vocab, merges)
}

// simpleBytes is the order in which OpenAI numbers the bytes: the visible
// ones first.
func simpleBytes() []string {
	var names, hidden []string
	for b, r := range byteRunes() {
		if visible(b) {
			names = append(names, string(r))
		} else {
			hidden = append(hidden, string(r))
		}
	}
	return append(names, hidden...)
}

// mergeLines reads "left right" lines after an optional first "…#version…" line.
func mergeLines(r io.Reader) ([][2]string, error) {
	var merges [][2]string
	scan := bufio.NewScanner(r)
	for n := 1; scan.Scan(); n++ {
		line := scan.Text()
		if line == "" || n == 1 && strings.Contains(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || left == "" || right == "" || strings.Contains(right, " ") {
			return nil, fmt.Errorf("line %d: %q is not two tokens", n, line)
		}
		if len(merges) == maxVocab {
			return nil, fmt.Errorf("more than %d merges", maxVocab)
		}
		merges = append(merges, [2]string{left, right})
	}
	return merges, scan.Err()
}

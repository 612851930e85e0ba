package clip

import (
	"container/heap"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Errors about text and vocabularies.
var (
	ErrTokenizer = errors.New("clip: bad tokenizer")                   // damaged or foreign vocabulary files
	ErrText      = errors.New("clip: text cannot be tokenised")        // not UTF-8, or a byte without a token
	ErrTooLong   = errors.New("clip: text has too many tokens")        // more than the model has positions
	ErrSpecial   = errors.New("clip: text holds a special token name") // e.g. "<|endoftext|>" in a class name
)

// The two special tokens of every CLIP vocabulary.
const (
	sosToken = "<|startoftext|>"
	eotToken = "<|endoftext|>"
)

// wordEnd marks a token that ends a word.
const wordEnd = "</w>"

// Tokenizer is CLIP's byte-level byte-pair encoding. It computes what Hugging
// Face's CLIPTokenizer (the tokenizers library, no ftfy, no HTML unescaping)
// does: Unicode NFC, runs of white space to one space, lower case; then the
// special tokens are cut out; then the rest is cut into contractions, runs of
// letters, single numbers and runs of anything else; then the UTF-8 bytes of
// each piece are merged pairwise, lowest rank first. It is read-only and may
// be shared.
type Tokenizer struct {
	SOS, EOT int
	ids      map[string]int  // token text, bytes spelt as printable runes
	names    map[int]string  // the inverse
	pairs    map[pair]merged // what two neighbouring tokens become
	first    [256]int        // token of a byte inside a word, -1 if none
	last     [256]int        // token of a byte that ends a word, -1 if none
	bytes    map[rune]byte   // printable rune back to its byte
}

type pair struct{ left, right int }

type merged struct{ rank, id int }

// NewTokenizer builds a tokenizer from a vocabulary and its merges in order
// of rank. Ids need not be contiguous. Errors wrap ErrTokenizer.
func NewTokenizer(vocab map[string]int, merges [][2]string) (*Tokenizer, error) {
	t := &Tokenizer{
		ids: vocab, names: make(map[int]string, len(vocab)),
		pairs: make(map[pair]merged, len(merges)), bytes: make(map[rune]byte, 256),
	}
	for name, id := range vocab {
		if id < 0 || id >= maxVocab {
			return nil, fmt.Errorf("%w: id %d of token %q, want 0 to %d", ErrTokenizer, id, name, maxVocab-1)
		}
		if other, ok := t.names[id]; ok {
			return nil, fmt.Errorf("%w: tokens %q and %q share id %d", ErrTokenizer, min(name, other), max(name, other), id)
		}
		t.names[id] = name
	}
	var ok bool
	if t.SOS, ok = vocab[sosToken]; !ok {
		return nil, fmt.Errorf("%w: no token %s", ErrTokenizer, sosToken)
	}
	if t.EOT, ok = vocab[eotToken]; !ok {
		return nil, fmt.Errorf("%w: no token %s", ErrTokenizer, eotToken)
	}
	for b, r := range byteRunes() {
		t.bytes[r] = byte(b)
		t.first[b], t.last[b] = t.lookup(string(r)), t.lookup(string(r)+wordEnd)
	}
	return t, t.addMerges(merges)
}

func (t *Tokenizer) lookup(name string) int {
	if id, ok := t.ids[name]; ok {
		return id
	}
	return -1
}

func (t *Tokenizer) addMerges(merges [][2]string) error {
	for rank, m := range merges {
		p := pair{t.lookup(m[0]), t.lookup(m[1])}
		id := t.lookup(m[0] + m[1])
		if p.left < 0 || p.right < 0 || id < 0 {
			return fmt.Errorf("%w: merge %d of %q and %q uses a token that is not in the vocabulary", ErrTokenizer, rank, m[0], m[1])
		}
		if _, ok := t.pairs[p]; ok {
			return fmt.Errorf("%w: merge of %q and %q occurs twice", ErrTokenizer, m[0], m[1])
		}
		t.pairs[p] = merged{rank, id}
	}
	return nil
}

// byteRunes spells every byte as a printable rune: itself if it is visible in
// Latin-1, else the next free rune from U+0100 on. It is part of the format.
func byteRunes() [256]rune {
	var table [256]rune
	next := rune(256)
	for b := range table {
		if visible(b) {
			table[b] = rune(b)
		} else {
			table[b] = next
			next++
		}
	}
	return table
}

func visible(b int) bool {
	return '!' <= b && b <= '~' || 0xa1 <= b && b <= 0xac || 0xae <= b && b <= 0xff
}

// Size is one more than the highest id.
func (t *Tokenizer) Size() int {
	size := 0
	for id := range t.names {
		size = max(size, id+1)
	}
	return size
}

// Encode returns the ids of text, without SOS and EOT around it. The names of
// the special tokens in the text become those tokens, as in the reference.
// Errors wrap ErrText: invalid UTF-8, or a byte the vocabulary has no token for.
func (t *Tokenizer) Encode(text string) ([]int, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%w: not valid UTF-8", ErrText)
	}
	var ids []int
	for rest := clean(text); rest != ""; {
		if id, name, ok := t.special(rest); ok {
			ids = append(ids, id)
			rest = rest[len(name):]
			continue
		}
		n := t.nextSpecial(rest)
		var err error
		if ids, err = t.encodePlain(ids, rest[:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	return ids, nil
}

func (t *Tokenizer) special(text string) (id int, name string, ok bool) {
	switch {
	case strings.HasPrefix(text, sosToken):
		return t.SOS, sosToken, true
	case strings.HasPrefix(text, eotToken):
		return t.EOT, eotToken, true
	}
	return 0, "", false
}

// nextSpecial is where the next special token begins, or the length of text.
func (t *Tokenizer) nextSpecial(text string) int {
	n := len(text)
	for _, name := range []string{sosToken, eotToken} {
		if i := strings.Index(text[:n], name); i >= 0 {
			n = i
		}
	}
	return n
}

// clean is NFC, one space for each run of white space, lower case.
func clean(text string) string {
	var b strings.Builder
	space := false
	for _, r := range nfc(text) {
		if unicode.IsSpace(r) {
			space = true
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		if r == 'İ' { // the one rune whose lower case is two
			b.WriteString("i̇")
			continue
		}
		b.WriteRune(unicode.ToLower(r))
	}
	if space {
		b.WriteByte(' ')
	}
	return b.String()
}

func (t *Tokenizer) encodePlain(ids []int, text string) ([]int, error) {
	for text != "" {
		n, isSpace := nextPiece(text)
		if !isSpace {
			var err error
			if ids, err = t.encodeWord(ids, text[:n]); err != nil {
				return nil, err
			}
		}
		text = text[n:]
	}
	return ids, nil
}

// nextPiece is the length in bytes of the piece that text starts with:
// 's|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+, or a space.
func nextPiece(text string) (n int, isSpace bool) {
	for _, c := range []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if strings.HasPrefix(text, c) {
			return len(c), false
		}
	}
	class := classOf(rune0(text))
	for i, r := range text {
		if i > 0 && (classOf(r) != class || class == number) {
			return i, class == white
		}
	}
	return len(text), class == white
}

func rune0(text string) rune {
	r, _ := utf8.DecodeRuneInString(text)
	return r
}

type runeClass uint8

const (
	other runeClass = iota
	white
	letter
	number
)

func classOf(r rune) runeClass {
	switch {
	case unicode.IsSpace(r):
		return white
	case unicode.IsLetter(r):
		return letter
	case unicode.In(r, unicode.N):
		return number
	}
	return other
}

// encodeWord appends the tokens of one piece: its bytes, merged.
func (t *Tokenizer) encodeWord(ids []int, word string) ([]int, error) {
	w := make(wordTokens, len(word))
	for i := range len(word) {
		w[i] = node{id: t.first[word[i]], prev: i - 1, next: i + 1}
	}
	w[len(word)-1].id = t.last[word[len(word)-1]]
	for i := range w {
		if w[i].id < 0 {
			return nil, fmt.Errorf("%w: no token for byte 0x%02x of %q", ErrText, word[i], word)
		}
	}
	t.merge(w)
	for i := 0; i < len(w); i = w[i].next {
		ids = append(ids, w[i].id)
	}
	return ids, nil
}

// wordTokens is a doubly linked list in a slice; the first node never moves.
type wordTokens []node

type node struct{ id, prev, next int }

// merge applies the merges in order of rank, then position, in O(n log n).
func (t *Tokenizer) merge(w wordTokens) {
	var queue mergeQueue
	push := func(left int) {
		if left < 0 || w[left].next >= len(w) {
			return
		}
		p := pair{w[left].id, w[w[left].next].id}
		if m, ok := t.pairs[p]; ok {
			heap.Push(&queue, candidate{m, p, left})
		}
	}
	for i := range len(w) - 1 {
		push(i)
	}
	for len(queue) > 0 {
		c := heap.Pop(&queue).(candidate)
		right := w[c.at].next
		if w[c.at].id != c.pair.left || right >= len(w) || w[right].id != c.pair.right {
			continue // one of the two has been merged meanwhile
		}
		w[c.at].id, w[c.at].next = c.id, w[right].next
		w[right].id = -1
		if w[right].next < len(w) {
			w[w[right].next].prev = c.at
		}
		push(w[c.at].prev)
		push(c.at)
	}
}

type candidate struct {
	merged
	pair pair
	at   int // index of the left node
}

type mergeQueue []candidate

func (q mergeQueue) Len() int { return len(q) }
func (q mergeQueue) Less(i, j int) bool {
	return q[i].rank < q[j].rank || q[i].rank == q[j].rank && q[i].at < q[j].at
}
func (q mergeQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *mergeQueue) Push(x any)   { *q = append(*q, x.(candidate)) }
func (q *mergeQueue) Pop() any {
	old := *q
	c := old[len(old)-1]
	*q = old[:len(old)-1]
	return c
}

// Decode is the text of ids: words separated by single spaces, special tokens
// by their names, unknown ids left out. Bytes that are no UTF-8 are kept.
func (t *Tokenizer) Decode(ids []int) string {
	var b strings.Builder
	for _, id := range ids {
		name := t.names[id]
		word, ends := strings.CutSuffix(name, wordEnd)
		if id == t.SOS || id == t.EOT {
			b.WriteString(name + " ")
			continue
		}
		for _, r := range word {
			b.WriteByte(t.bytes[r])
		}
		if ends {
			b.WriteByte(' ')
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

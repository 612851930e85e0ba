package clip

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// The goldens come from testbed/reference/make_tokenizer_goldens.py.
const goldenTokens = "testdata/tokenizer/"

func readGolden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(goldenTokens + name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		return data
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return data
}

func readJSON(t testing.TB, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

type tokenCorpus struct {
	Strings []struct {
		Text string
		IDs  []int
	}
	Runs []struct {
		First, Last rune
		Digest      string
	}
}

func openAITokens(t testing.TB) (*Tokenizer, tokenCorpus) {
	t.Helper()
	tok, err := ParseVocab(readGolden(t, "vocab.json.gz"), readGolden(t, "merges.txt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	var c tokenCorpus
	readJSON(t, readGolden(t, "corpus.json.gz"), &c)
	return tok, c
}

func smallTokens(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := ParseTokenizer(readGolden(t, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestTokenizerGoldens(t *testing.T) {
	tok, corpus := openAITokens(t)
	if len(corpus.Strings) < 300 {
		t.Fatalf("only %d strings in the corpus", len(corpus.Strings))
	}
	for _, s := range corpus.Strings {
		got, err := tok.Encode(s.Text)
		if err != nil {
			t.Errorf("%q: %v", s.Text, err)
		} else if !slices.Equal(got, s.IDs) {
			t.Errorf("%q:\n got %v\nwant %v", s.Text, got, s.IDs)
		}
	}
	if tok.SOS != 49406 || tok.EOT != 49407 || tok.Size() != 49408 {
		t.Errorf("SOS %d, EOT %d, size %d", tok.SOS, tok.EOT, tok.Size())
	}
}

// TestTokenizerEveryCharacter compares every character that Unicode 14
// assigns, in the middle of a word and alone, by a digest for each run.
func TestTokenizerEveryCharacter(t *testing.T) {
	tok, corpus := openAITokens(t)
	characters := 0
	for _, run := range corpus.Runs {
		h := sha256.New()
		for r := run.First; r <= run.Last; r++ {
			ids, err := tok.Encode("a" + string(r) + "b " + string(r))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(h, strings.Trim(fmt.Sprint(ids), "[]"))
			characters++
		}
		if got := hex.EncodeToString(h.Sum(nil)); got[:8] != run.Digest {
			t.Errorf("U+%04X to U+%04X differ", run.First, run.Last)
		}
	}
	if characters < 140_000 {
		t.Errorf("only %d characters compared", characters)
	}
}

func TestTokenizerLayoutsAgree(t *testing.T) {
	fromJSON := smallTokens(t)
	fromGzip, err := ParseMerges(mustRead(t, goldenTokens+"small.txt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	var want [][]int
	readJSON(t, readGolden(t, "small.json"), &want)
	_, corpus := openAITokens(t)
	for i, ids := range want {
		text := corpus.Strings[i].Text
		for name, tok := range map[string]*Tokenizer{"tokenizer.json": fromJSON, "gzip": fromGzip} {
			got, err := tok.Encode(text)
			if err != nil || !slices.Equal(got, ids) {
				t.Errorf("%s: %q: %v\n got %v\nwant %v", name, text, err, got, ids)
			}
		}
	}
}

func mustRead(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestLoadTokenizerFindsEachLayout(t *testing.T) {
	vocab, merges := readGolden(t, "vocab.json.gz"), readGolden(t, "merges.txt.gz")
	file := func(b []byte) *fstest.MapFile { return &fstest.MapFile{Data: b} }
	for name, tc := range map[string]struct {
		files fstest.MapFS
		size  int
		err   error
	}{
		"vocab and merges": {files: fstest.MapFS{vocabFile: file(vocab), mergesFile: file(merges)}, size: 49408},
		"json":             {files: fstest.MapFS{tokenizerFile: file(readGolden(t, "tokenizer.json"))}, size: 914},
		"gzip":             {files: fstest.MapFS{gzipFile: file(mustRead(t, goldenTokens+"small.txt.gz"))}, size: 914},
		"none":             {files: fstest.MapFS{}, err: fs.ErrNotExist},
		"no merges":        {files: fstest.MapFS{vocabFile: file(vocab)}, err: fs.ErrNotExist},
	} {
		tok, err := LoadTokenizer(tc.files)
		if !errors.Is(err, tc.err) || err == nil && tok.Size() != tc.size {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenizerRefusesDamagedFiles(t *testing.T) {
	specials := `"<|startoftext|>":2,"<|endoftext|>":3`
	for name, parse := range map[string]func() (*Tokenizer, error){
		"vocab no JSON":      func() (*Tokenizer, error) { return ParseVocab([]byte("x"), nil) },
		"no special token":   func() (*Tokenizer, error) { return ParseVocab([]byte(`{"a":0}`), nil) },
		"negative id":        func() (*Tokenizer, error) { return ParseVocab([]byte(`{"a":-1,`+specials+`}`), nil) },
		"huge id":            func() (*Tokenizer, error) { return ParseVocab([]byte(`{"a":2000000,`+specials+`}`), nil) },
		"equal ids":          func() (*Tokenizer, error) { return ParseVocab([]byte(`{"a":2,`+specials+`}`), nil) },
		"merge of strangers": func() (*Tokenizer, error) { return ParseVocab([]byte(`{"a":1,`+specials+`}`), []byte("a b\n")) },
		"merge of three":     func() (*Tokenizer, error) { return ParseVocab([]byte(`{"a":1,`+specials+`}`), []byte("a b c\n")) },
		"no gzip":            func() (*Tokenizer, error) { return ParseMerges([]byte("hello")) },
		"other kind":         func() (*Tokenizer, error) { return ParseTokenizer([]byte(`{"model":{"type":"WordPiece"}}`)) },
		"no vocabulary": func() (*Tokenizer, error) {
			return ParseTokenizer([]byte(`{"normalizer":{"type":"Lowercase"},"model":{"type":"BPE","end_of_word_suffix":"</w>"}}`))
		},
	} {
		if _, err := parse(); !errors.Is(err, ErrTokenizer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	tok := smallTokens(t)
	if _, err := tok.Encode("a\xffb"); !errors.Is(err, ErrText) {
		t.Errorf("bad UTF-8: %v", err)
	}
	words, err := NewTokenizer(map[string]int{"a": 0, "a</w>": 1, sosToken: 2, eotToken: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := words.Encode("AA"); err != nil || !slices.Equal(ids, []int{0, 1}) {
		t.Errorf("AA: %v %v", ids, err)
	}
	if _, err := words.Encode("b"); !errors.Is(err, ErrText) || !strings.Contains(err.Error(), "0x62") {
		t.Errorf("unknown byte: %v", err)
	}
}

func TestTokens(t *testing.T) {
	m := &Model{Tokenizer: smallTokens(t)}
	m.Config.Text.Positions = 77
	ids, err := m.Tokens("a cat")
	if err != nil || ids[len(ids)-1] != m.Tokenizer.EOT || slices.Contains(ids, m.Tokenizer.SOS) {
		t.Errorf("%v %v", ids, err)
	}
	if ids, err := m.Tokens(strings.Repeat("1 ", 75)); err != nil || len(ids) != 76 {
		t.Errorf("75 tokens: %d %v", len(ids), err)
	}
	if _, err := m.Tokens(strings.Repeat("1 ", 76)); !errors.Is(err, ErrTooLong) {
		t.Errorf("76 tokens: %v", err)
	}
	if _, err := m.Tokens("cat" + eotToken); !errors.Is(err, ErrSpecial) {
		t.Errorf("special: %v", err)
	}
	if _, err := (&Model{}).Tokens("cat"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no vocabulary: %v", err)
	}
}

func TestDecodeInvertsWords(t *testing.T) {
	tok, _ := openAITokens(t)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,12}`), 1, 6).Draw(t, "words")
		text := strings.Join(words, " ")
		ids, err := tok.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Decode(ids); got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
	})
}

// mergeSlowly is the textbook form of BPE: find the lowest rank, merge all
// its occurrences from the left, repeat.
func mergeSlowly(t *Tokenizer, ids []int) []int {
	for {
		best, at := merged{rank: 1 << 30}, pair{}
		for i := range len(ids) - 1 {
			p := pair{ids[i], ids[i+1]}
			if m, ok := t.pairs[p]; ok && m.rank < best.rank {
				best, at = m, p
			}
		}
		if best.rank == 1<<30 {
			return ids
		}
		var out []int
		for i := 0; i < len(ids); i++ {
			if i+1 < len(ids) && (pair{ids[i], ids[i+1]}) == at {
				out = append(out, best.id)
				i++
			} else {
				out = append(out, ids[i])
			}
		}
		ids = out
	}
}

func FuzzEncode(f *testing.F) {
	tok, corpus := openAITokens(f)
	for _, s := range corpus.Strings[:120] {
		f.Add(s.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids, err := tok.Encode(text)
		if (err == nil) != utf8.ValidString(text) {
			t.Fatalf("%q: %v", text, err)
		}
		cleaned := clean(text)
		for _, word := range strings.FieldsFunc(cleaned, func(r rune) bool { return classOf(r) != letter }) {
			slow := make([]int, len(word))
			for i := range slow {
				slow[i] = tok.first[word[i]]
			}
			slow[len(word)-1] = tok.last[word[len(word)-1]]
			fast, err := tok.encodeWord(nil, word)
			if err != nil || !slices.Equal(fast, mergeSlowly(tok, slow)) {
				t.Fatalf("%q: %v %v", word, fast, err)
			}
		}
		for _, id := range ids {
			if _, ok := tok.names[id]; !ok {
				t.Fatalf("%q: unknown id %d", text, id)
			}
		}
	})
}

func FuzzTokenizerFiles(f *testing.F) {
	f.Add(readGolden(f, "tokenizer.json"))
	f.Add(mustRead(f, goldenTokens+"small.txt.gz"))
	f.Add([]byte(`{"a":1,"<|startoftext|>":2,"<|endoftext|>":3}`))
	f.Add([]byte("#version: 0.2\na b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		vocab := []byte(`{"a":0,"b":1,"ab":4,"<|startoftext|>":2,"<|endoftext|>":3}`)
		for _, parse := range []func() (*Tokenizer, error){
			func() (*Tokenizer, error) { return ParseTokenizer(data) },
			func() (*Tokenizer, error) { return ParseMerges(data) },
			func() (*Tokenizer, error) { return ParseVocab(data, nil) },
			func() (*Tokenizer, error) { return ParseVocab(vocab, data) },
		} {
			tok, err := parse()
			if err == nil {
				_, err = tok.Encode("an abba photo")
			}
			if err != nil && !errors.Is(err, ErrTokenizer) && !errors.Is(err, ErrText) {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	tok, _ := openAITokens(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tok.Encode("a photo of a boeing 737-800, a type of aircraft."); err != nil {
			b.Fatal(err)
		}
	}
}

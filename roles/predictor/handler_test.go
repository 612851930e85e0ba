package predictor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func seed(i int) rand.Source { return rand.NewPCG(uint64(i), 17) }

// endpoint is a handler with what it told of each request.
type endpoint struct {
	*testing.T
	*Handler
	mu     sync.Mutex
	served []Served
}

func newEndpoint(t *testing.T, change func(*Options)) *endpoint {
	p, _ := newPredictor(t)
	e := &endpoint{T: t}
	o := Options{
		Limits: Limits{Body: 1 << 20, Batch: 3, Requests: 2, Workers: 1}, About: []byte(`{"run":"demo"}`), Local: true,
		OnServed: func(s Served) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.served = append(e.served, s)
		},
	}
	change(&o)
	e.Handler = NewHandler(p, o)
	return e
}

func unchanged(*Options) {}

func (e *endpoint) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w.Result()
}

// post sends a body and demands a status.
func (e *endpoint) post(status int, target, kind string, body []byte) (a answer, text string) {
	e.Helper()
	r := httptest.NewRequest("POST", "http://localhost"+target, bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	got := e.do(r)
	raw, err := io.ReadAll(got.Body)
	if err != nil {
		e.Fatal(err)
	}
	if got.StatusCode != status {
		e.Errorf("%s of %d bytes: status %d, want %d: %s", kind, len(body), got.StatusCode, status, raw)
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		e.Errorf("%v: %s", err, raw)
	}
	return a, string(raw)
}

// TestBatchIsLikeSingles: what a picture shows does not depend on what comes with it, or how it comes.
func TestBatchIsLikeSingles(t *testing.T) {
	e := newEndpoint(t, unchanged)
	var singles []picture
	for i := range 3 {
		a, _ := e.post(200, "/v1/predict?top=3", "image/png", drawing(t, i))
		if len(a.Pictures) != 1 || len(a.Pictures[0].Classes) != 3 {
			t.Fatalf("%+v", a)
		}
		singles = append(singles, a.Pictures[0])
	}
	if reflect.DeepEqual(singles[0], singles[1]) {
		t.Fatal("two drawings look alike to the model: this test sees nothing")
	}
	body, kind := form(t, drawing(t, 0), drawing(t, 1), drawing(t, 2))
	if a, _ := e.post(200, "/v1/predict?top=3", kind, body); !reflect.DeepEqual(a.Pictures, singles) {
		t.Errorf("%+v, want %+v", a.Pictures, singles)
	}
	for i, want := range singles {
		got, err := e.p.Picture(bytes.NewReader(drawing(t, i)), 3)
		if err != nil || !reflect.DeepEqual(&got, want.Prediction) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if len(e.served) != 4 || e.served[3].Pictures != 3 || e.served[3].Status != 200 {
		t.Errorf("%+v", e.served)
	}
}

// bomb is a PNG that says it is large.
func bomb(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	b = binary.BigEndian.AppendUint32(b, w)
	b = binary.BigEndian.AppendUint32(b, h)
	b = append(b, 8, 2, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

func TestWhatIsRefused(t *testing.T) {
	e := newEndpoint(t, unchanged)
	good := drawing(t, 0)
	two, kind := form(t, good, []byte("no picture"))
	a, text := e.post(200, "/v1/predict", kind, two)
	if len(a.Pictures) != 2 || a.Pictures[0].Prediction == nil || a.Pictures[1].Prediction != nil || a.Pictures[1].Error != "not a readable picture" {
		t.Errorf("one of two: %s", text)
	}
	if strings.Contains(text, "secret-name") {
		t.Error("the answer repeats a file name")
	}
	four, fourKind := form(t, good, good, good, good)
	large, largeKind := form(t, good, make([]byte, 1<<20))
	none, noneKind := form(t)
	for _, c := range []struct {
		name, target, kind string
		body               []byte
		status             int
		text               string
	}{
		{"a bomb", "/v1/predict", "image/png", bomb(60000, 60000), 422, "too many pixels"},
		{"more pixels than the limit", "/v1/predict", "image/png", bomb(1025, 1024), 422, "too many pixels"},
		{"pixels that are not there", "/v1/predict", "image/png", bomb(1024, 1024), 422, "not a readable picture"},
		{"no picture", "/v1/predict", "image/jpeg", []byte("hello"), 422, "not a readable picture"},
		{"nothing", "/v1/predict", "image/jpeg", nil, 422, "not a readable picture"},
		{"cut", "/v1/predict", "image/png", good[:len(good)/2], 422, "not a readable picture"},
		{"a huge body", "/v1/predict", "image/png", make([]byte, 1<<20+1), 413, "more than 1048576 bytes"},
		{"a huge batch", "/v1/predict", fourKind, four, 413, "more than 3 pictures"},
		{"a huge part", "/v1/predict", largeKind, large, 413, "more than 1048576 bytes"},
		{"an empty batch", "/v1/predict", noneKind, none, 400, "no picture"},
		{"a cut batch", "/v1/predict", fourKind, four[:len(four)/3], 400, "could not be read"},
		{"no boundary", "/v1/predict", "multipart/form-data", four, 400, "boundary"},
		{"text", "/v1/predict", "text/plain", good, 415, "want a picture"},
		{"JSON", "/v1/predict", "application/json", good, 415, "want a picture"},
		{"no type", "/v1/predict", "", good, 415, "want a picture"},
		{"a type that is none", "/v1/predict", "image/", good, 415, "want a picture"},
		{"top 0", "/v1/predict?top=0", "image/png", good, 400, "top"},
		{"top x", "/v1/predict?top=x", "image/png", good, 400, "top"},
	} {
		if _, text := e.post(c.status, c.target, c.kind, c.body); !strings.Contains(text, c.text) {
			t.Errorf("%s: %s, want %q", c.name, text, c.text)
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if got := e.do(httptest.NewRequest(method, "http://localhost/v1/predict", nil)); got.StatusCode != 405 {
			t.Errorf("%s: %d", method, got.StatusCode)
		}
	}
	// A chunked body without a length is cut off all the same.
	r := httptest.NewRequest("POST", "http://localhost/v1/predict", io.LimitReader(zeros{}, 1<<30))
	r.ContentLength = -1
	r.Header.Set("Content-Type", "image/png")
	if got := e.do(r); got.StatusCode != 413 {
		t.Errorf("an endless body: %d", got.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestWhoMayAsk(t *testing.T) {
	ask := func(e *endpoint, change func(*http.Request)) int {
		r := httptest.NewRequest("POST", "http://127.0.0.1:8080/v1/predict", bytes.NewReader(drawing(t, 0)))
		r.Header.Set("Content-Type", "image/png")
		change(r)
		return e.do(r).StatusCode
	}
	local := newEndpoint(t, unchanged)
	for host, want := range map[string]int{"localhost": 200, "LOCALHOST:8080": 200, "[::1]:8080": 200, "127.0.0.9": 200, "evil.example": 421, "evil.example:8080": 421, "10.0.0.1": 421, "": 421} {
		if got := ask(local, func(r *http.Request) { r.Host = host }); got != want {
			t.Errorf("host %q: %d, want %d", host, got, want)
		}
	}
	if got := ask(local, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); got != 403 {
		t.Errorf("from a web page: %d", got)
	}
	guarded := newEndpoint(t, func(o *Options) { o.Local, o.Token = false, "correct horse battery" })
	for token, want := range map[string]int{"": 401, "Bearer ": 401, "Bearer wrong": 401, "correct horse battery": 401, "Bearer correct horse battery": 200} {
		if got := ask(guarded, func(r *http.Request) { r.Header.Set("Authorization", token) }); got != want {
			t.Errorf("token %q: %d, want %d", token, got, want)
		}
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/v1/prompt": 401, "/other": 404} {
		if got := guarded.do(httptest.NewRequest("GET", "http://elsewhere"+path, nil)).StatusCode; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	about := local.do(httptest.NewRequest("GET", "http://localhost/v1/prompt", nil))
	if text, _ := io.ReadAll(about.Body); about.StatusCode != 200 || string(text) != `{"run":"demo"}` {
		t.Errorf("%d %s", about.StatusCode, text)
	}
	local.Drain()
	if got := local.do(httptest.NewRequest("GET", "http://localhost/readyz", nil)).StatusCode; got != 503 {
		t.Errorf("draining: %d", got)
	}
	if got := ask(local, func(*http.Request) {}); got != 200 {
		t.Errorf("a late request: %d", got)
	}
}

// FuzzPredict: whatever is sent, the answer is JSON and none of ours is to blame.
func FuzzPredict(f *testing.F) {
	body, kind := form(f, drawing(f, 0), []byte("x"))
	f.Add(kind, body)
	f.Add("image/png", drawing(f, 1))
	f.Add("image/png", bomb(9999, 9999))
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\n\r\n"))
	f.Add("text/plain; a=\"", []byte{})
	p, _ := newPredictor(f)
	h := NewHandler(p, Options{Limits: Limits{Body: 1 << 16, Batch: 2, Requests: 1, Workers: 1}})
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		r := httptest.NewRequest("POST", "http://localhost/v1/predict", bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}

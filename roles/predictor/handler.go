package predictor

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"dpfpl/mathx/clip"
	"dpfpl/roles/loopback"
)

// Limits of the endpoint. All must be positive.
type Limits struct {
	Body     int64 // bytes of a request
	Batch    int   // pictures in a request
	Requests int   // at a time; one more is told to come back
	Workers  int   // pictures worked on at a time
}

// Served says what became of a request to predict. It holds nothing that the sender wrote.
type Served struct {
	Status               int
	Pictures, Unreadable int
	Took                 time.Duration
}

// Options of a Handler.
type Options struct {
	Limits
	// About describes the prompt, as JSON, to whoever asks for it.
	About []byte
	// Token is what a request must bear; empty admits everybody who can reach the address.
	Token string
	// Local refuses requests that are not addressed to this machine by a name of its own, as those of a web page are
	// whose name was made to lead here.
	Local bool
	// Metrics, if not nil, answers at /metrics.
	Metrics http.Handler
	// OnServed, if not nil, is called after each request to predict.
	OnServed func(Served)
}

// Handler answers
//
//	POST /v1/predict   pictures: the body of one, or several as multipart/form-data; ?top=K classes of each
//	GET  /v1/prompt    what the prompt is
//	GET  /metrics      how much there is to do
//	GET  /healthz      200 while the process lives
//	GET  /readyz       200 while requests are welcome, 503 once Drain was called
//
// A file name in a request is not looked at, and no picture is kept.
type Handler struct {
	p        *Predictor
	o        Options
	token    [32]byte // digest
	requests chan struct{}
	workers  chan struct{}
	draining atomic.Bool
	handler  http.Handler
}

// NewHandler makes the endpoint.
func NewHandler(p *Predictor, o Options) *Handler {
	h := &Handler{p: p, o: o, token: sha256.Sum256([]byte(o.Token)), requests: make(chan struct{}, o.Requests), workers: make(chan struct{}, o.Workers)}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/predict", h.admitted(http.HandlerFunc(h.predict)))
	mux.Handle("GET /v1/prompt", h.admitted(http.HandlerFunc(h.about)))
	if o.Metrics != nil {
		mux.Handle("GET /metrics", h.admitted(o.Metrics))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }) //nolint:errcheck // whoever asked is gone
	mux.HandleFunc("GET /readyz", h.ready)
	h.handler = http.NewCrossOriginProtection().Handler(mux)
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.handler.ServeHTTP(w, r) }

// Drain says to whoever asks that no further request is welcome. Those that come are answered all the same.
func (h *Handler) Drain() { h.draining.Store(true) }

func (h *Handler) ready(w http.ResponseWriter, _ *http.Request) {
	if h.draining.Load() {
		http.Error(w, "going down", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n") //nolint:errcheck // whoever asked is gone
}

// admitted lets through who may ask.
func (h *Handler) admitted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		digest := sha256.Sum256([]byte(given))
		switch {
		case h.o.Token != "" && (!bears || subtle.ConstantTimeCompare(digest[:], h.token[:]) != 1):
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, http.StatusUnauthorized, "the token is missing or wrong")
		case h.o.Local && !loopback.Is(r.Host):
			fail(w, http.StatusMisdirectedRequest, "ask this machine by localhost or its loopback address")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (h *Handler) about(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(h.o.About) //nolint:errcheck // whoever asked is gone
}

// predict answers one request, or tells that there are too many.
func (h *Handler) predict(w http.ResponseWriter, r *http.Request) {
	began, out := time.Now(), Served{}
	select {
	case h.requests <- struct{}{}:
		out = h.serve(w, r)
		<-h.requests
	default:
		w.Header().Set("Retry-After", "1")
		out.Status = fail(w, http.StatusServiceUnavailable, "too many requests at a time")
	}
	if h.o.OnServed != nil {
		out.Took = time.Since(began)
		h.o.OnServed(out)
	}
}

// answer is what a client reads.
type answer struct {
	Pictures []picture `json:"pictures"`
}

type picture struct {
	*Prediction
	Error string `json:"error,omitempty"`
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (out Served) {
	r.Body = http.MaxBytesReader(w, r.Body, h.o.Body)
	top, err := h.top(r)
	if err != nil {
		out.Status = fail(w, http.StatusBadRequest, err.Error())
		return out
	}
	var a answer
	err = h.each(r, func(part io.Reader) error {
		if len(a.Pictures) == h.o.Batch {
			return &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("more than %d pictures", h.o.Batch)}
		}
		p, err := h.picture(r, part, top)
		if err != nil {
			return err
		}
		if a.Pictures = append(a.Pictures, p); p.Error != "" {
			out.Unreadable++
		}
		return nil
	})
	out.Pictures = len(a.Pictures)
	if err != nil {
		status, text := statusOf(err)
		out.Status = fail(w, status, text)
		return out
	}
	out.Status = http.StatusOK
	if out.Unreadable == out.Pictures {
		out.Status = http.StatusUnprocessableEntity
	}
	write(w, out.Status, a)
	return out
}

func (h *Handler) top(r *http.Request) (int, error) {
	text := r.URL.Query().Get("top")
	if text == "" {
		return min(5, len(h.p.Names)), nil
	}
	top, err := strconv.Atoi(text)
	if err != nil || top < 1 {
		return 0, errors.New("top is no number of at least 1")
	}
	return min(top, len(h.p.Names)), nil
}

// refusal ends a request with a status.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

// each calls do with every picture of a request, which it must read before the next one. Errors: refusal, do's,
// and those of reading.
func (h *Handler) each(r *http.Request, do func(io.Reader) error) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "multipart/form-data":
		return eachPart(r, do)
	case err == nil && (strings.HasPrefix(kind, "image/") || kind == "application/octet-stream"):
		return do(r.Body)
	}
	return &refusal{http.StatusUnsupportedMediaType, "want a picture (image/…, application/octet-stream), or several as multipart/form-data"}
}

func eachPart(r *http.Request, do func(io.Reader) error) error {
	parts, err := r.MultipartReader()
	if err != nil {
		return &refusal{http.StatusBadRequest, "no boundary between the parts"}
	}
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		switch {
		case err == io.EOF && n > 0:
			return nil
		case err == io.EOF:
			return &refusal{http.StatusBadRequest, "no picture"}
		case err != nil:
			return err
		}
		if err := do(part); err != nil {
			return err
		}
	}
}

// picture classifies one picture. One that is none is no error, but says so.
func (h *Handler) picture(r *http.Request, body io.Reader, top int) (picture, error) {
	data, err := io.ReadAll(body) // before a worker waits for who sends slowly
	if err != nil {
		return picture{}, err
	}
	select {
	case h.workers <- struct{}{}:
		defer func() { <-h.workers }()
	case <-r.Context().Done():
		return picture{}, r.Context().Err()
	}
	prediction, err := h.p.Picture(bytes.NewReader(data), top)
	switch {
	case errors.Is(err, clip.ErrImageLarge):
		return picture{Error: "the picture has too many pixels"}, nil
	case errors.Is(err, clip.ErrImage):
		return picture{Error: "not a readable picture"}, nil
	case err != nil:
		return picture{}, err
	}
	return picture{Prediction: &prediction}, nil
}

// statusOf says what a request ends with whose body could not be read.
func statusOf(err error) (status int, text string) {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.status, refused.text
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("more than %d bytes", large.Limit)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return http.StatusRequestTimeout, "the request took too long"
	}
	return http.StatusBadRequest, "the request could not be read"
}

func fail(w http.ResponseWriter, status int, text string) int {
	write(w, status, struct {
		Error string `json:"error"`
	}{text})
	return status
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(body) //nolint:errcheck // whoever asked is gone
}

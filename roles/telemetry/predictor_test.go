package telemetry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"dpfpl/roles/telemetry"
)

func TestPredictor(t *testing.T) {
	m := telemetry.New("predict", "", telemetry.Options{})
	p := m.Predictor()
	p.Served(200, 3, 1, time.Second)
	p.Served(503, 0, 0, time.Millisecond)
	problems, err := testutil.GatherAndLint(m.Gatherer())
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	want := `# HELP dpfpl_predict_pictures_total Pictures in requests to predict, and whether they could be read.
# TYPE dpfpl_predict_pictures_total counter
dpfpl_predict_pictures_total{outcome="read",role="predict"} 2
dpfpl_predict_pictures_total{outcome="unread",role="predict"} 1
# HELP dpfpl_predict_requests_total Requests to predict, by the status of the answer.
# TYPE dpfpl_predict_requests_total counter
dpfpl_predict_requests_total{role="predict",status="200"} 1
dpfpl_predict_requests_total{role="predict",status="503"} 1
`
	if err := testutil.GatherAndCompare(m.Gatherer(), strings.NewReader(want), "dpfpl_predict_pictures_total", "dpfpl_predict_requests_total"); err != nil {
		t.Error(err)
	}
}

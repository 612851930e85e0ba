package federation

import (
	"context"
	"encoding/hex"
	"io"

	"dpfpl/broker"
	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
)

// Transcript is what a run's log holds, in figures.
type Transcript struct {
	PlanDigest   string   // hex, of the sealed plan
	LogDigest    string   // hex, of the chain over every log message
	ModelDigests []string // hex, of version 0, 1, …
	Traffic      map[schemas.Kind]Traffic
	Updates      map[string]uint64 // in the log, by client
}

// Traffic counts messages of one kind.
type Traffic struct {
	Count int
	Bytes int64
}

// Export writes a finished run as a log file to w and returns what it holds.
func Export(ctx context.Context, conn *broker.Conn, run string, w io.Writer) (*Transcript, error) {
	out := &Transcript{Traffic: map[schemas.Kind]Traffic{}, Updates: map[string]uint64{}}
	file, err := logfile.NewWriter(w)
	if err != nil {
		return nil, err
	}
	plan, err := conn.Plan(ctx, run)
	if err != nil {
		return nil, err
	}
	if err := file.Write(plan); err != nil {
		return nil, err
	}
	out.count(schemas.KindPlan, plan)
	digest := schemas.Digest(plan.Raw)
	out.PlanDigest = hex.EncodeToString(digest[:])
	var chain [32]byte
	everything := logfile.Interleave(conn.ReadLog(ctx, run, 1), conn.ReadModels(ctx, run), conn.ReadCheckpoints(ctx, run))
	for m, err := range everything {
		if err != nil {
			return nil, err
		}
		if err := file.Write(m); err != nil {
			return nil, err
		}
		kind, _, client, _, err := schemas.ParseSubject(m.Subject)
		if err != nil {
			return nil, err
		}
		digest := schemas.Digest(m.Raw)
		switch kind {
		case schemas.KindModel:
			out.ModelDigests = append(out.ModelDigests, hex.EncodeToString(digest[:]))
		case schemas.KindUpdate, schemas.KindControl:
			chain = schemas.Chain(chain, digest)
		}
		if kind == schemas.KindUpdate {
			out.Updates[client]++
		}
		out.count(kind, m)
	}
	for m, err := range conn.ReadDead(ctx, run) {
		if err != nil {
			return nil, err
		}
		out.count(schemas.KindDead, m)
	}
	out.LogDigest = hex.EncodeToString(chain[:])
	return out, file.Close()
}

func (t *Transcript) count(kind schemas.Kind, m schemas.Message) {
	n := t.Traffic[kind]
	n.Count++
	n.Bytes += int64(len(m.Raw))
	t.Traffic[kind] = n
}

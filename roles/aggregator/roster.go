package aggregator

import (
	"fmt"
	"slices"
	"strings"

	"dpfpl/schemas"
)

// member is what the fold knows of one member: what a checkpoint keeps, and its part in the version being
// collected.
type member struct {
	schemas.MemberRecord
	holds bool // the version being collected has an update of this member
}

// answered reports whether the member has given an update for a version or a later one.
func (m *member) answered(version uint64) bool {
	return m.LastK > 0 && m.LastBase != schemas.NoBase && version <= m.LastBase
}

// spend notes that the member used its update u, whatever becomes of it, and reports whether it had
// already given an update with this or a later number or base. One whose base does not exist yet answers no version.
func (m *member) spend(u *schemas.Update, version uint64) (repeated bool) {
	answered, first := m.answered(u.Base), m.LastK == 0
	repeated = u.K <= m.LastK || answered
	m.LastK = max(m.LastK, u.K)
	switch {
	case u.Base <= version && !answered:
		m.LastBase = u.Base
	case first:
		m.LastBase = schemas.NoBase
	}
	return repeated
}

// owes reports whether the member may still add to the version after version: it has updates left, none in
// the buffer, and has not answered version yet.
func (m *member) owes(version uint64, updates uint32) bool {
	return !m.holds && !m.answered(version) && m.LastK < uint64(updates)
}

// roster holds the members, ascending by id.
type roster []member

// newRoster counts every member in from the start, so that the first round waits for all of them, in
// whatever order they join.
func newRoster(p *schemas.Plan) roster {
	r := make(roster, len(p.Members))
	for i, m := range p.Members {
		r[i].MemberRecord = schemas.MemberRecord{ID: m.ID, Active: true}
	}
	return r
}

// get returns a member, nil for anybody else.
func (r roster) get(id string) *member {
	i, found := slices.BinarySearchFunc(r, id, func(m member, id string) int { return strings.Compare(m.ID, id) })
	if !found {
		return nil
	}
	return &r[i]
}

func (r roster) records() []schemas.MemberRecord {
	records := make([]schemas.MemberRecord, len(r))
	for i, m := range r {
		records[i] = m.MemberRecord
	}
	return records
}

// restore takes over the records of a checkpoint, which must be those of the plan's members.
func (r roster) restore(records []schemas.MemberRecord) error {
	if len(records) != len(r) {
		return fmt.Errorf("%d members, the plan has %d", len(records), len(r))
	}
	for i, record := range records {
		if record.ID != r[i].ID {
			return fmt.Errorf("member %q where the plan has %q", record.ID, r[i].ID)
		}
		r[i] = member{MemberRecord: record}
	}
	return nil
}

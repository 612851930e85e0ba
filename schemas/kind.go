package schemas

import "strconv"

// String returns the kind's name, which is also its token in subjects and its folder in testdata.
func (k Kind) String() string {
	switch k {
	case KindPlan:
		return "plan"
	case KindUpdate:
		return "update"
	case KindControl:
		return "control"
	case KindModel:
		return "model"
	case KindCheckpoint:
		return "checkpoint"
	case KindPresence:
		return "presence"
	case KindNote:
		return "note"
	case KindDead:
		return "dead"
	case KindSight:
		return "sight"
	case KindTick:
		return "tick"
	}
	return "kind " + strconv.Itoa(int(k))
}

// newBody returns an empty body of the kind, nil for a kind that does not travel.
func newBody(k Kind) Body {
	switch k {
	case KindPlan:
		return new(Plan)
	case KindUpdate:
		return new(Update)
	case KindControl:
		return new(Control)
	case KindModel:
		return new(Model)
	case KindCheckpoint:
		return new(Checkpoint)
	case KindPresence:
		return new(Presence)
	case KindNote:
		return new(Note)
	case KindDead:
		return new(Dead)
	}
	return nil
}

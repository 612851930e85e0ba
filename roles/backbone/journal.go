package backbone

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
)

// A journal keeps the outcomes of an extraction that is under way, one record
// for each image in order, so that it can go on after an interruption. It
// begins with a magic number and the identity of the work; a record is a
// kind byte, a length, a payload and their CRC-32. What is torn at the end is
// cut off.
type journal struct {
	file *os.File
	w    *bufio.Writer
}

const journalMagic = "dpfplJ1\n"

// Kinds of records.
const (
	recordFeature = 1 // e float32, little-endian
	recordSkipped = 2 // the reason, text
)

// maxRecord bounds a payload.
const maxRecord = 1 << 20

// outcome is what became of one image.
type outcome struct {
	feature []float32 // nil if skipped
	reason  string
}

// openJournal opens or starts the journal of a piece of work. The outcomes of
// an earlier run of the same work are returned; those of other work are
// discarded.
func openJournal(path string, identity [32]byte) (*journal, []outcome, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, nil, err
	}
	done, good, err := readJournal(bufio.NewReader(f), identity)
	if err == nil {
		err = f.Truncate(good)
	}
	if err == nil {
		_, err = f.Seek(good, io.SeekStart)
	}
	j := &journal{file: f, w: bufio.NewWriter(f)}
	if err == nil && good == 0 {
		_, err = j.w.Write(append([]byte(journalMagic), identity[:]...))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("backbone: %s: %w", path, err), f.Close())
	}
	return j, done, nil
}

// readJournal returns the outcomes and the length of what is whole; zero if
// the journal is empty or of other work.
func readJournal(r io.Reader, identity [32]byte) (done []outcome, good int64, err error) {
	head := make([]byte, len(journalMagic)+len(identity))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != journalMagic+string(identity[:]) {
		return nil, 0, ignoreEOF(err)
	}
	good = int64(len(head))
	for {
		o, n, err := readRecord(r)
		if err != nil {
			return done, good, ignoreEOF(err)
		}
		if n == 0 {
			return done, good, nil
		}
		done, good = append(done, o), good+n
	}
}

func ignoreEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

// readRecord returns one record and its length; zero if it is damaged.
func readRecord(r io.Reader) (o outcome, n int64, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return o, 0, err
	}
	length := binary.LittleEndian.Uint32(head[1:])
	if length > maxRecord {
		return o, 0, nil
	}
	body := make([]byte, length+4)
	if _, err := io.ReadFull(r, body); err != nil {
		return o, 0, err
	}
	payload := body[:length]
	if crc32.Update(crc32.ChecksumIEEE(head), crc32.IEEETable, payload) != binary.LittleEndian.Uint32(body[length:]) {
		return o, 0, nil
	}
	switch head[0] {
	case recordFeature:
		o.feature = make([]float32, length/4)
		for i := range o.feature {
			o.feature[i] = math.Float32frombits(binary.LittleEndian.Uint32(payload[4*i:]))
		}
	case recordSkipped:
		o.reason = string(payload)
	default:
		return o, 0, nil
	}
	return o, int64(len(head) + len(body)), nil
}

// append adds outcomes and flushes them to the operating system.
func (j *journal) append(outcomes []outcome) error {
	for _, o := range outcomes {
		kind, payload := byte(recordSkipped), []byte(o.reason)
		if o.feature != nil {
			kind, payload = recordFeature, nil
			for _, v := range o.feature {
				payload = binary.LittleEndian.AppendUint32(payload, math.Float32bits(v))
			}
		}
		record := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
		record = append(record, payload...)
		record = binary.LittleEndian.AppendUint32(record, crc32.ChecksumIEEE(record))
		if _, err := j.w.Write(record); err != nil {
			return err
		}
	}
	return j.w.Flush()
}

func (j *journal) close() error { return errors.Join(j.w.Flush(), j.file.Close()) }

// remove closes and deletes the journal.
func (j *journal) remove() error {
	err := os.Remove(j.file.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(j.file.Close(), err)
}

package schemas

import (
	"fmt"
	"reflect"
	"strings"
)

// form is the msgpack family that a value must belong to.
type form uint8

const (
	formBool form = iota
	formUint
	formInt
	formFloat
	formString
	formBin   // any length, or nil
	formFixed // exactly size bytes
	formList  // array of elem, or nil
	formMap   // exactly fields, in order
)

// shape is the exact outline of a wire type. walk holds bytes against it before anything is allocated.
type shape struct {
	form   form
	bits   int // of formUint and formInt
	size   int // of formFixed
	elem   *shape
	fields []fieldShape
}

type fieldShape struct {
	name string
	shape
}

// shapes holds the outline of every kind that travels. It is read-only after init.
var shapes = func() map[Kind]*shape {
	m := make(map[Kind]*shape)
	for k := range Kind(KindTick) {
		if b := newBody(k); b != nil {
			s := shapeOf(reflect.TypeOf(b).Elem())
			m[k] = &s
		}
	}
	return m
}()

// shapeOf reads the outline of a wire type from its Go type. It panics on a type that has no place on the
// wire, which is a mistake in this package and shows at start.
func shapeOf(t reflect.Type) shape {
	switch t.Kind() {
	case reflect.Bool:
		return shape{form: formBool}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return shape{form: formUint, bits: t.Bits()}
	case reflect.Int64:
		return shape{form: formInt, bits: t.Bits()}
	case reflect.Float64:
		return shape{form: formFloat}
	case reflect.String:
		return shape{form: formString}
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return shape{form: formFixed, size: t.Len()}
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return shape{form: formBin}
		}
		elem := shapeOf(t.Elem())
		return shape{form: formList, elem: &elem}
	case reflect.Struct:
		return shape{form: formMap, fields: fieldsOf(t)}
	}
	panic(fmt.Sprintf("schemas: %v cannot be part of a message", t))
}

// fieldsOf lists a struct's fields in encoding order, embedded structs inlined.
func fieldsOf(t reflect.Type) []fieldShape {
	var fields []fieldShape
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			fields = append(fields, fieldsOf(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("msgpack"), ",")
		fields = append(fields, fieldShape{name, shapeOf(f.Type)})
	}
	return fields
}

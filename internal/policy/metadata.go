package policy

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Metadata is what an object says of who it is and who made it.
type Metadata struct {
	// Stored tells whether the object is in the cluster. Where it is not, all of this is what the requester says.
	Stored bool
	// UID is empty where the API server has not given any yet.
	UID types.UID
	// GenerateName is what the API server has made the object's name of, empty where the requester gave the name.
	GenerateName string
	// Controller is the owner that manages the object, nil if there is none.
	Controller *metav1.OwnerReference
}

// errDone ends the reading of an object.
var errDone = errors.New("done")

// Metadata reads the metadata of the object that is stored, or of the one that is to be. It costs the reading of metadata
// and of what the API server puts before it, and nothing where it is not called. Metadata of another form name nobody.
func (r *Request) Metadata() Metadata {
	object := r.oldObject
	if object == nil {
		object = r.object
	}
	m := Metadata{Stored: r.oldObject != nil}
	if object == nil {
		return m
	}
	d := newRereader(object)
	defer d.release()
	// The object was found valid before.
	_ = d.members(func(name string) error {
		if name != "metadata" {
			return d.text.SkipValue()
		}
		return errors.Join(d.metadata(&m), errDone)
	})
	return m
}

func (d *decoder) metadata(m *Metadata) error {
	if d.text.PeekKind() != jsontext.KindBeginObject {
		return d.text.SkipValue()
	}
	return d.members(func(name string) (err error) {
		switch name {
		case "uid":
			var uid string
			uid, err = d.str()
			m.UID = types.UID(uid)
		case "generateName":
			m.GenerateName, err = d.str()
		case "ownerReferences":
			m.Controller, err = d.controller()
		default:
			err = d.text.SkipValue()
		}
		return err
	})
}

// controller reads owner references, and gives the first that manages the object.
func (d *decoder) controller() (controller *metav1.OwnerReference, err error) {
	if d.text.PeekKind() != jsontext.KindBeginArray {
		return nil, d.text.SkipValue()
	}
	if _, err := d.text.ReadToken(); err != nil {
		return nil, err
	}
	for d.text.PeekKind() != jsontext.KindEndArray {
		owner, manages, err := d.owner()
		if err != nil {
			return nil, err
		}
		if manages && controller == nil {
			controller = owner
		}
	}
	_, err = d.text.ReadToken()
	return controller, err
}

func (d *decoder) owner() (owner *metav1.OwnerReference, manages bool, err error) {
	if d.text.PeekKind() != jsontext.KindBeginObject {
		return nil, false, d.text.SkipValue()
	}
	var uid string
	owner = &metav1.OwnerReference{}
	fields := map[string]*string{"apiVersion": &owner.APIVersion, "kind": &owner.Kind, "name": &owner.Name, "uid": &uid}
	err = d.members(func(name string) (err error) {
		if into := fields[name]; into != nil {
			*into, err = d.str()
			return err
		}
		if name == "controller" {
			manages = d.text.PeekKind() == jsontext.KindTrue
		}
		return d.text.SkipValue()
	})
	owner.UID, owner.Controller = types.UID(uid), &manages
	return owner, manages, err
}

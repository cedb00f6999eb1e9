package policy

import (
	"errors"

	"github.com/go-json-experiment/json"
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

// Metadata reads the metadata of the object that is stored, or of the one that is to be. It costs the decoding of
// metadata and of what the API server puts before it, and nothing where it is not called.
func (r *Request) Metadata() Metadata {
	object := r.oldObject
	if object == nil {
		object = r.object
	}
	var read struct {
		UID             types.UID               `json:"uid"`
		GenerateName    string                  `json:"generateName"`
		OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
	}
	// Metadata of another form names nobody.
	if err := json.Unmarshal(member(object, "metadata"), &read); err != nil {
		return Metadata{Stored: r.oldObject != nil}
	}
	m := Metadata{Stored: r.oldObject != nil, UID: read.UID, GenerateName: read.GenerateName}
	for i := range read.OwnerReferences {
		if owner := &read.OwnerReferences[i]; owner.Controller != nil && *owner.Controller {
			m.Controller = owner
			break
		}
	}
	return m
}

// errFound ends the reading of an object.
var errFound = errors.New("found")

// member gives the value of a member of an object that was found valid before, nil if there is none.
func member(object []byte, wanted string) (value []byte) {
	if object == nil {
		return nil
	}
	d := newDecoder(object)
	defer d.release()
	_ = d.members(func(name string) (err error) {
		if name != wanted {
			return d.text.SkipValue()
		}
		value, err = d.raw(object)
		return errors.Join(err, errFound)
	})
	return value
}

package driver

import (
	"reflect"
	"testing"
)

func TestDifferencesNameEachField(t *testing.T) {
	one := object{"spec": object{"a": 1.0, "b": []any{"x"}, "c": true}}
	other := object{"spec": object{"a": 1.0, "b": []any{"y"}, "d": false}}
	expected := []string{
		"Service a.spec.b: [y] instead of [x]", "Service a.spec.c: <nil> instead of true", "Service a.spec.d: false instead of <nil>",
	}
	if got := differences("Service a", one, other); !reflect.DeepEqual(got, expected) {
		t.Errorf("got %q", got)
	}
	if got := differences("Service a", one, nil); len(got) != 1 {
		t.Errorf("of nothing: %q", got)
	}
}

func TestContentsAreWithoutWhatKubernetesAdds(t *testing.T) {
	item := object{
		"metadata": object{
			"name": "a", "uid": "1", "annotations": object{"hash": "2"}, "ownerReferences": []any{object{"name": "a", "uid": "3"}},
		},
		"spec":   object{"clusterIP": "198.51.100.1", "clusterIPs": []any{"198.51.100.1"}, "type": "ClusterIP"},
		"status": object{},
	}
	expected := object{
		"metadata": object{"name": "a", "ownerReferences": []any{object{"name": "a"}}}, "spec": object{"type": "ClusterIP"},
	}
	if got := contents(item); !reflect.DeepEqual(got, expected) {
		t.Errorf("got %v", got)
	}
}

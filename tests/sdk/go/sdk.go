package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	util "github.com/alibabacloud-go/tea-utils/v2/service"
	"github.com/alibabacloud-go/tea/tea"
)

// target is where a Bulla listens, and an access key on it, as clients.py tells it.
type target struct {
	Endpoint        string `json:"endpoint"`
	Region          string `json:"region"`
	AccessKeyID     string `json:"access_key_id"`
	AccessKeySecret string `json:"access_key_secret"`
	CA              string `json:"ca"`
}

type call struct {
	Target     target          `json:"target"`
	Action     string          `json:"action"`
	Parameters json.RawMessage `json:"parameters"`
}

type refused struct {
	Code      string `json:"code"`
	Status    int    `json:"status"`
	RequestID string `json:"request_id"`
}

// answer has one of its members: the answer's body by its names on the wire, what the service refused, or what failed before.
type answer struct {
	Body    interface{} `json:"body,omitempty"`
	Refused *refused    `json:"refused,omitempty"`
	Failed  string      `json:"failed,omitempty"`
}

// serve makes the calls that it reads until there are no more.
func serve(in io.Reader, out io.Writer) error {
	clients := map[target]*kms.Client{}
	lines, answers := bufio.NewReader(in), json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var wanted call
		if err := json.Unmarshal(line, &wanted); err != nil {
			return err
		}
		client, known := clients[wanted.Target]
		if !known {
			if client, err = open(wanted.Target); err != nil {
				return err
			}
			clients[wanted.Target] = client
		}
		if err := answers.Encode(made(client, wanted)); err != nil {
			return err
		}
	}
}

// open makes a client as an application would.
func open(at target) (*kms.Client, error) {
	config := &openapi.Config{
		AccessKeyId:     tea.String(at.AccessKeyID),
		AccessKeySecret: tea.String(at.AccessKeySecret),
		Endpoint:        tea.String(at.Endpoint),
		Protocol:        tea.String("HTTP"),
		RegionId:        tea.String(at.Region),
	}
	if at.CA != "" {
		pem, err := os.ReadFile(at.CA)
		if err != nil {
			return nil, err
		}
		config.Protocol, config.Ca = tea.String("HTTPS"), tea.String(string(pem))
	}
	return kms.NewClient(config)
}

// made is the answer to one call: the SDK's own method of the operation, with the SDK's own request.
func made(client *kms.Client, wanted call) answer {
	method := reflect.ValueOf(client).MethodByName(wanted.Action + "WithOptions")
	if !method.IsValid() {
		return answer{Failed: "this SDK has no " + wanted.Action}
	}
	arguments := []reflect.Value{reflect.ValueOf(&util.RuntimeOptions{})}
	if method.Type().NumIn() == 2 { // OpenKmsService and DescribeRegions take no request
		request := reflect.New(method.Type().In(0).Elem())
		decoder := json.NewDecoder(strings.NewReader(string(wanted.Parameters)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(request.Interface()); err != nil {
			return answer{Failed: fmt.Sprintf("no %s: %v", request.Type().Elem().Name(), err)}
		}
		arguments = append([]reflect.Value{request}, arguments...)
	}
	results := method.Call(arguments)
	if err, failed := results[1].Interface().(error); failed {
		return failure(err)
	}
	return answer{Body: plain(results[0].Elem().FieldByName("Body"))}
}

// plain is what a caller finds in a model of the SDK, by the names on the wire. Encoding it would leave out empty lists.
func plain(model reflect.Value) interface{} {
	switch model.Kind() {
	case reflect.Ptr, reflect.Interface:
		if model.IsNil() {
			return nil
		}
		return plain(model.Elem())
	case reflect.Struct:
		members := map[string]interface{}{}
		for i := 0; i < model.NumField(); i++ {
			if field := model.Field(i); !field.IsZero() {
				members[strings.Split(model.Type().Field(i).Tag.Get("json"), ",")[0]] = plain(field)
			}
		}
		return members
	case reflect.Slice:
		items := make([]interface{}, model.Len())
		for i := range items {
			items[i] = plain(model.Index(i))
		}
		return items
	default:
		return model.Interface()
	}
}

func failure(err error) answer {
	var sdk *tea.SDKError
	if !errors.As(err, &sdk) || tea.IntValue(sdk.StatusCode) == 0 {
		return answer{Failed: err.Error()}
	}
	var data struct {
		RequestID string `json:"RequestId"`
	}
	_ = json.Unmarshal([]byte(tea.StringValue(sdk.Data)), &data)
	return answer{Refused: &refused{tea.StringValue(sdk.Code), tea.IntValue(sdk.StatusCode), data.RequestID}}
}

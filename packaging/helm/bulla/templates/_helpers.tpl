{{- define "bulla.labels" -}}
app.kubernetes.io/name: bulla
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

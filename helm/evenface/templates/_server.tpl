{{- define "evenface.serverArgs" -}}
- --models={{ .Values.model.path }}
- --host=0.0.0.0
- --port={{ .Values.ports.grpc }}
- --metrics-host=0.0.0.0
- --metrics-port={{ .Values.ports.metrics }}
- --health-host=0.0.0.0
- --health-port={{ .Values.ports.health }}
- --device={{ .Values.gpu.enabled | ternary "cuda" "cpu" }}
- --workers={{ .Values.server.workers }}
- --drain-delay={{ .Values.shutdown.drainDelaySeconds }}
- --drain-grace={{ .Values.shutdown.drainGraceSeconds }}
{{- with .Values.model.default }}
- --default-model={{ . }}
{{- end }}
{{- with .Values.model.signatures }}
{{- if .configMap }}
- --require-signature=/etc/evenface/signatures/{{ .key }}
{{- end }}
{{- end }}
{{- with .Values.server.adminPort }}
- --admin-port={{ . }}
{{- end }}
{{- if .Values.tls.enabled }}
- --tls-cert=/etc/evenface/tls/tls.crt
- --tls-key=/etc/evenface/tls/tls.key
{{- with .Values.tls.clientCA }}
{{- if .secretName }}
- --tls-client-ca=/etc/evenface/client-ca/{{ .key }}
{{- end }}
{{- if .allowedSubjects }}
- --tls-allowed-subjects=/etc/evenface/subjects/subjects.txt
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.tokens.secretName }}
- --tokens-file=/etc/evenface/tokens/{{ .Values.tokens.key }}
{{- end }}
{{- with .Values.tracing }}
{{- if .enabled }}
- --tracing
- --tracing-ratio={{ .ratio }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.server.settings }}
{{- if kindIs "bool" $value }}
- --{{ $value | ternary "" "no-" }}{{ $name }}
{{- else }}
- {{ printf "--%s=%s" $name (kindIs "string" $value | ternary $value (toJson $value)) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Files that callers are known by: whole folders, so that changes of the secrets are seen. */ -}}
{{- define "evenface.accessVolumes" -}}
{{- if .Values.tls.enabled }}
- name: tls
  secret: {secretName: {{ include "evenface.tlsSecret" . | quote }}, defaultMode: 0440}
{{- with .Values.tls.clientCA }}
{{- if .secretName }}
- name: client-ca
  secret:
    secretName: {{ .secretName | quote }}
    defaultMode: 0440
    items: [{key: {{ .key | quote }}, path: {{ .key | quote }}}]
{{- end }}
{{- if .allowedSubjects }}
- name: subjects
  configMap: {name: {{ include "evenface.fullname" $ }}-subjects}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.tokens }}
{{- if .secretName }}
- name: tokens
  secret:
    secretName: {{ .secretName | quote }}
    defaultMode: 0440
    items: [{key: {{ .key | quote }}, path: {{ .key | quote }}}]
{{- end }}
{{- end }}
{{- end }}

{{- define "evenface.accessMounts" -}}
{{- range (include "evenface.accessVolumes" . | fromYamlArray) }}
- {name: {{ .name }}, mountPath: /etc/evenface/{{ .name }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "evenface.tlsSecret" -}}
{{- .Values.tls.certManager.enabled | ternary (printf "%s-tls" (include "evenface.fullname" .)) .Values.tls.secretName -}}
{{- end }}

{{- /* Beside what shutdown has: seconds in which the server closes connections and processes. */ -}}
{{- define "evenface.closingSeconds" -}}24{{- end }}

{{- define "evenface.neededGrace" -}}
{{- with .Values.shutdown -}}
{{- add .preStopSeconds .drainDelaySeconds .drainGraceSeconds (include "evenface.closingSeconds" $) -}}
{{- end -}}
{{- end }}

{{- define "evenface.terminationGrace" -}}
{{- default (include "evenface.neededGrace" .) .Values.shutdown.terminationGracePeriodSeconds | int -}}
{{- end }}

{{- /* What tells the exporter of traces where to, and who it is. */ -}}
{{- define "evenface.tracingEnv" -}}
{{- with .Values.tracing }}
{{- if .enabled }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: "k8s.pod.name=$(POD_NAME),k8s.namespace.name={{ $.Release.Namespace }}"}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
{{- if .headers.secret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: {secretKeyRef: {name: {{ .headers.secret | quote }}, key: {{ .headers.key | quote }}}}
{{- end }}
{{- range $name, $value := .variables }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

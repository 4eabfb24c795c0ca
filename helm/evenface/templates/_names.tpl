{{- define "evenface.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "evenface.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "evenface.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "evenface.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "evenface.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "evenface.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- /* What pods of one kind are known by. Takes a list: root, component. */ -}}
{{- define "evenface.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "evenface.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "evenface.labels" -}}
{{- $root := index . 0 -}}
{{ include "evenface.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{- /* An image by digest, else by tag. Takes a dict: image, tag (for want of another). */ -}}
{{- define "evenface.image" -}}
{{- if .image.digest -}}
{{- .image.repository -}}{{- with .image.tag }}:{{ . }}{{ end -}}@{{- .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end }}

{{- define "evenface.serverImage" -}}
{{- $tag := .Values.gpu.enabled | ternary (printf "%s-cuda" .Chart.AppVersion) .Chart.AppVersion -}}
{{- include "evenface.image" (dict "image" .Values.image "tag" $tag) -}}
{{- end }}

{{- /* What the rest of a pod's name is, for queries that have the pod as a label. */ -}}
{{- define "evenface.pods" -}}
namespace="{{ .Release.Namespace }}",pod=~"{{ include "evenface.fullname" . }}-[a-z0-9]+-[a-z0-9]+"
{{- end }}

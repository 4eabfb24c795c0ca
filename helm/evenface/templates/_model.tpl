{{- /* How bundles come to a pod; nothing where they are in its image. */ -}}
{{- define "evenface.modelVolume" -}}
{{- $model := .Values.model -}}
{{- if ne $model.source "image" }}
- name: models
  {{- if eq $model.source "claim" }}
  persistentVolumeClaim: {claimName: {{ $model.claim.name | quote }}, readOnly: true}
  {{- else if eq $model.source "imageVolume" }}
  image: {reference: {{ $model.imageVolume.reference | quote }}, pullPolicy: {{ $model.imageVolume.pullPolicy }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ $model.download.sizeLimit }}}
  {{- end }}
{{- end }}
{{- with $model.signatures }}
{{- if .configMap }}
- name: signatures
  configMap: {name: {{ .configMap | quote }}, items: [{key: {{ .key | quote }}, path: {{ .key | quote }}}]}
{{- end }}
{{- end }}
{{- end }}

{{- define "evenface.modelMount" -}}
{{- $model := .Values.model -}}
{{- if ne $model.source "image" }}
- name: models
  mountPath: {{ $model.path | quote }}
  readOnly: true
  {{- with and (eq $model.source "claim") $model.claim.subPath }}
  subPath: {{ . | quote }}
  {{- end }}
{{- end }}
{{- if $model.signatures.configMap }}
- {name: signatures, mountPath: /etc/evenface/signatures, readOnly: true}
{{- end }}
{{- end }}

{{- define "evenface.modelDownload" -}}
{{- $download := .Values.model.download -}}
{{- if eq .Values.model.source "download" }}
- name: download
  image: {{ include "evenface.image" (dict "image" $download.image "tag" "latest") }}
  {{- include "evenface.container" . | nindent 2 }}
  command: [/bin/sh, -euc]
  args:
    - {{ .Files.Get "files/download.sh" | quote }}
    - download
    {{- range $download.bundles }}
    - {{ .url | quote }}
    - {{ .sha256 | quote }}
    {{- end }}
  env:
    - {name: MODELS, value: {{ .Values.model.path | quote }}}
    - {name: SCRATCH, value: /tmp}
    {{- with $download.s3Region }}
    - {name: S3_REGION, value: {{ . | quote }}}
    {{- end }}
  {{- with $download.s3Secret }}
  envFrom:
    - secretRef: {name: {{ . | quote }}}
  {{- end }}
  resources:
    requests: {cpu: 100m, memory: 128Mi}
    limits: {cpu: "1", memory: 128Mi}
  volumeMounts:
    - {name: models, mountPath: {{ .Values.model.path | quote }}}
    - {name: scratch, mountPath: /tmp}
{{- end }}
{{- end }}

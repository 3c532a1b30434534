# The image that segments: it needs no network, no root and no writable file system to run.
#
#   docker build -t wmhseg .
#   docker build -t wmhseg:slim --build-arg REQUIREMENTS=requirements-slim.txt \
#       --build-arg MODELS=default .
#   docker build -t wmhseg:gpu --build-arg REQUIREMENTS=requirements-gpu.txt .
#
# BASE may be pinned to a digest, or be any image with bash and Python 3.11 (venv and pip included).
ARG BASE=python:3.11-slim

FROM ${BASE} AS dependencies
ARG REQUIREMENTS=requirements.txt
COPY ${REQUIREMENTS} /opt/wmhseg/requirements.txt
# TensorFlow's C++ headers are 290 MB that nothing reads at run time, the packages' own tests 60 MB,
# OpenVINO's readers of other formats and other devices than the CPU 85 MB, and Pillow's formats of
# pictures for the web 7 MB. The list is complete, and --no-deps keeps out what it leaves out on purpose.
RUN python3 -m venv --without-pip /opt/wmhseg \
    && python3 -m pip --python /opt/wmhseg/bin/python install \
        --no-cache-dir --disable-pip-version-check --compile --no-deps \
        --requirement /opt/wmhseg/requirements.txt \
    && rm -rf /opt/wmhseg/lib/python3.*/site-packages/tensorflow/include \
        /opt/wmhseg/lib/python3.*/site-packages/openvino/include \
        /opt/wmhseg/lib/python3.*/site-packages/openvino/cmake \
        /opt/wmhseg/lib/python3.*/site-packages/openvino/libs/cache.json \
        /opt/wmhseg/lib/python3.*/site-packages/openvino/libs/libopenvino_intel_[gn]pu_* \
        /opt/wmhseg/lib/python3.*/site-packages/openvino/libs/libopenvino_*_frontend.so* \
        /opt/wmhseg/lib/python3.*/site-packages/openvino/libs/libopenvino_auto_* \
        /opt/wmhseg/lib/python3.*/site-packages/openvino/libs/libopenvino_hetero_* \
        /opt/wmhseg/lib/python3.*/site-packages/openvino/libs/libopenvino_c.so* \
        /opt/wmhseg/lib/python3.*/site-packages/PIL/_avif.* \
        /opt/wmhseg/lib/python3.*/site-packages/PIL/_webp.* \
        /opt/wmhseg/lib/python3.*/site-packages/pillow.libs/libavif-* \
        /opt/wmhseg/lib/python3.*/site-packages/pillow.libs/libwebp* \
        /opt/wmhseg/lib/python3.*/site-packages/pillow.libs/libsharpyuv-* \
    && find /opt/wmhseg/lib/python3.*/site-packages/numpy /opt/wmhseg/lib/python3.*/site-packages/scipy \
        /opt/wmhseg/lib/python3.*/site-packages/networkx -type d -name tests -prune -exec rm -rf {} +

FROM dependencies AS package
WORKDIR /build
COPY pyproject.toml README.md LICENSE* NOTICE* ./
COPY wmhseg ./wmhseg
COPY models ./models
# The package brings the default model; "all" adds the others.
ARG MODELS=all
RUN python3 -m pip --python /opt/wmhseg/bin/python install \
        --no-cache-dir --disable-pip-version-check --compile --no-deps --prefix /package . \
    && if [ "${MODELS}" = all ]; then \
        cp -r models/. "$(echo /package/lib/python3.*/site-packages/wmhseg/models)"; fi

# The bill of materials: the Python packages of the image, as "make sbom" writes it too.
FROM package AS bill
RUN python3 -m venv --without-pip /bill \
    && python3 -m pip --python /bill/bin/python install \
        --no-cache-dir --disable-pip-version-check cyclonedx-bom==7.5.0 \
    && /bill/bin/cyclonedx-py requirements /opt/wmhseg/requirements.txt --pyproject pyproject.toml \
        --output-reproducible --of JSON --output-file /bill/sbom.json

# The dependencies are below and the package on top: a change of code or weights leaves the large
# layer alone, and the tools that built the package stay behind.
FROM dependencies
ARG BASE
ARG VERSION=0.2.0
# What the reports call the image; say --build-arg IMAGE=NAME:TAG for one of your own.
ARG IMAGE=wmhseg:${VERSION}
# The commit that it is made from: --build-arg REVISION="$(git rev-parse HEAD)".
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wmhseg" \
      org.opencontainers.image.description="Segments white matter hyperintensities on FLAIR and T1 brain MRI. For research; not a medical device." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.authors="The wmhseg developers" \
      org.opencontainers.image.vendor="The wmhseg developers" \
      org.opencontainers.image.ref.name="${IMAGE}" \
      bill-of-materials="/usr/share/doc/wmhseg/sbom.json" \
      org.opencontainers.image.base.name="${BASE}"
# A fresh volume at /output inherits the folder's mode, so that any user can write to it. There is no
# VOLUME: it would swallow the result of a run whose -v was forgotten.
RUN useradd --uid 1000 --user-group --no-create-home --home-dir /tmp --shell /bin/bash wmhseg \
    && install --directory --mode=0755 /input \
    && install --directory --mode=1777 /output
COPY --chmod=0755 wmhseg/data/entrypoint.sh /usr/local/bin/wmhseg-entrypoint
COPY --from=package /package /opt/wmhseg
COPY --from=bill /bill/sbom.json /usr/share/doc/wmhseg/sbom.json
# Whoever runs it, /tmp is the place for what libraries want to write. OpenBLAS would start a thread
# for every core of the host at import, whatever the limits of the container, and has no work here.
ENV PATH=/opt/wmhseg/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    WMHSEG_IMAGE=${IMAGE} \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    XDG_CONFIG_HOME=/tmp/.config \
    KERAS_HOME=/tmp/.keras \
    KERAS_BACKEND=tensorflow \
    TF_CPP_MIN_LOG_LEVEL=3 \
    OPENBLAS_NUM_THREADS=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["/usr/local/bin/wmhseg-entrypoint"]

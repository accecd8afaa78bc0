FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

COPY requirements/base.lock requirements/base.lock
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/base.lock

COPY . .
RUN useradd --system --uid 10001 iwrs && install -d -o iwrs /state
USER iwrs

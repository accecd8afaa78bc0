"""Addresses of room 5 on the blinded side."""

from django.urls import path

from dsmb import views, views_open_report, views_opened, views_packs

urlpatterns = [
    path("studies/<slug:code>/packs/", views_packs.Packs.as_view(), name="packs"),
    path(
        "studies/<slug:code>/packs/paper/",
        views_packs.DownloadPaper.as_view(),
        name="download-paper",
    ),
    path("centres/<int:pk>/pack/", views_packs.DownloadPack.as_view(), name="download-pack"),
    path("studies/<slug:code>/treatments/", views_opened.OpenedPage.as_view(), name="opened"),
    path(
        "studies/<slug:code>/treatments/csv/", views_opened.OpenedFile.as_view(), name="opened-csv"
    ),
    path(
        "studies/<slug:code>/treatments/proofs/",
        views_opened.OpenedProofs.as_view(),
        name="opened-proofs",
    ),
    path("studies/<slug:code>/analysis/", views.Analysis.as_view(), name="analysis"),
    path(
        "studies/<slug:code>/open-reports/",
        views_open_report.OpenReports.as_view(),
        name="open-reports",
    ),
    path(
        "studies/<slug:code>/data-cuts/<int:pk>/open-report/",
        views_open_report.OpenReportPage.as_view(),
        name="open-report",
    ),
    path(
        "studies/<slug:code>/data-cuts/<int:pk>/open-report/csv/",
        views_open_report.OpenReportCsv.as_view(),
        name="open-report-csv",
    ),
    path(
        "studies/<slug:code>/data-cuts/<int:pk>/open-report/pdf/",
        views_open_report.OpenReportPdf.as_view(),
        name="open-report-pdf",
    ),
    path("studies/<slug:code>/cut/", views.CutData.as_view(), name="cut-data"),
    path("studies/<slug:code>/extract/", views.RequestExtract.as_view(), name="request-extract"),
    path("extracts/<int:pk>/release/", views.ReleaseExtract.as_view(), name="release-extract"),
    path("extracts/<int:pk>/file/", views.DownloadExtract.as_view(), name="download-extract"),
]

// The viewer's configuration: the cloud's own images, and no other host.
window.config = {
  name: 'edge-router',
  routerBasename: null,
  extensions: [],
  modes: [],
  // A segmentation is a single picture: no film controls over its text.
  customizationService: [{ autoCineModalities: { $set: ['US'] } }],
  showStudyList: true,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  // Slices of a screening series may be missing or unevenly spaced: no volume is made of them then.
  strictZSpacingForVolumeViewport: true,
  groupEnabledModesFirst: true,
  maxNumberOfWebWorkers: 3,
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
  // The signed-in user's browser shows what went wrong; nothing is reported anywhere.
  showErrorDetails: 'always',
  defaultDataSourceName: 'cloud',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'cloud',
      configuration: {
        friendlyName: 'Cloud PACS',
        name: 'cloud',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        wadoUriRoot: '/dicom-web',
        qidoSupportsIncludeField: true,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
      },
    },
  ],
};
